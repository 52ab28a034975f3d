package account

import (
	"math/rand/v2"
	"strconv"
	"strings"
)

const (
	adjectives = "amber bold brave bright brisk calm clever coral cosmic crimson daring dapper eager early fair fancy " +
		"gentle golden grand happy honest humble indigo jolly keen kind lively lucky lunar mellow merry mighty misty " +
		"noble polar proud quick quiet rapid royal rustic sandy silent silver sleek snowy solar spry steady sunny " +
		"swift teal tidy velvet violet vivid warm wild wise witty young zesty"
	animals = "albatross badger beaver bison bobcat condor crane cricket dolphin eagle egret falcon ferret finch fox " +
		"gazelle gecko gibbon hare hawk heron ibis impala jackal jaguar kestrel koala lark lemur lynx magpie marten " +
		"meerkat mole moose narwhal newt ocelot orca osprey otter owl panda panther pelican penguin pika puffin " +
		"quail raven robin salmon seal sparrow starling stork swan tapir tern tiger turtle vole walrus wolf wombat " +
		"wren yak zebra"
)

// friendlyName returns a name such as quiet-otter-42. About 400,000 are
// possible; callers ask again for one that is taken.
func friendlyName() string {
	pick := func(words string) string {
		all := strings.Fields(words)
		return all[rand.IntN(len(all))]
	}
	return pick(adjectives) + "-" + pick(animals) + "-" + strconv.Itoa(rand.IntN(90)+10)
}
