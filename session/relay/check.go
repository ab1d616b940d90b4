package relay

import (
	"context"
	"sync"
	"time"

	"github.com/pion/logging"
)

// Check probes each URL of the servers once, all at the same time, and returns their status in order. ctx bounds it.
func Check(ctx context.Context, servers []Server) []ServerStatus {
	logs := logging.NewDefaultLoggerFactory()
	logs.DefaultLogLevel = logging.LogLevelDisabled // the status has the errors
	p := prober{logs: logs}
	var all []*target
	var group sync.WaitGroup
	for _, s := range servers {
		user := s.For("doctor", time.Now(), time.Time{})
		for _, u := range s.URLs {
			t := &target{url: u, of: s, health: health{state: StateUnknown, since: time.Now()}}
			all = append(all, t)
			group.Go(func() { // unguarded: a command calls it, which may end with a panic
				var err error
				if t.at, err = parse(u); err == nil {
					t.health.rtt, err = p.probe(ctx, t.at, user.Username, user.Credential)
				}
				t.health.checked, t.health.state = time.Now(), StateUp
				if err != nil {
					t.health.state = StateDown
					t.health.reason, t.health.text = reasonOf(err)
				}
			})
		}
	}
	group.Wait()
	status := make([]ServerStatus, len(all))
	for i, t := range all {
		status[i] = t.status()
	}
	return status
}
