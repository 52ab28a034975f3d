package storetest

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

// CutOff ends all connections to a database of PostgresURL and lets nobody in for
// a while, as a server that restarts does.
func CutOff(t testing.TB, dsn string, length time.Duration) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	name, server := strings.TrimPrefix(u.Path, "/"), folder()
	server.exec(t, "ALTER DATABASE "+name+" ALLOW_CONNECTIONS false")
	server.exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '"+name+"'")
	time.Sleep(length)
	server.exec(t, "ALTER DATABASE "+name+" ALLOW_CONNECTIONS true")
}
