package app

import (
	"fmt"
	"os"

	"github.com/serverlessvideo/serverlessvideo/internal/bus"
	"github.com/serverlessvideo/serverlessvideo/internal/pluginmanager"
)

// readPlugins reads the manifests of the plugins outside the process. The bus
// needs them before it listens: a plugin that comes back while the node starts
// would be told that its secret is wrong, and end.
func (a *App) readPlugins() error {
	for _, p := range a.cfg.Plugins {
		text, err := os.ReadFile(p.Manifest)
		if err != nil {
			return fmt.Errorf("the manifest of a plugin: %w", err)
		}
		plugin, err := pluginmanager.ParsePlugin(text)
		if err != nil {
			return fmt.Errorf("the manifest %s: %w", p.Manifest, err)
		}
		a.plugins = append(a.plugins, plugin)
		a.onBus = append(a.onBus, bus.Plugin{Name: plugin.Name, Hook: plugin.EventHook, Secret: p.Secret})
	}
	return nil
}
