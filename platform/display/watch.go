package display

import (
	"context"
	"slices"
	"sync"
	"time"

	"wavryhost/platform/guard"
)

// A watch that ends sooner than shortWatch is not repeated for watchPause: the server may reset whenever its
// last client leaves.
const shortWatch, watchPause = 5 * time.Second, 30 * time.Second

// watch starts to watch the servers that are not watched yet. It never watches servers of other machines.
func (r *Registry) watch(ctx context.Context, watching *sync.WaitGroup) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.servers {
		// A connection would keep a server running that no display of it needs.
		needed := slices.ContainsFunc(s.screens, func(sc Screen) bool { return sc.Why == "" })
		look := r.client(s.address).Watch
		if look == nil || s.watched || s.state != Usable || s.asking != nil || s.address.remote || !needed ||
			now.Before(s.watchAfter) {
			continue
		}
		s.watched = true
		authority := slices.Clone(s.authority)
		watching.Go(func() {
			guarded := guard.New(r.log, nil, nil)
			var err error
			if p := guarded.Run("watch", func() {
				err = look(ctx, s.address.server, authority, func(screens []Screen) { r.report(s, screens) })
			}); p != nil {
				err = p
			}
			r.unwatched(s, now, err)
		})
	}
}

// report stores the screens of a watched server.
func (r *Registry) report(s *server, screens []Screen) {
	r.mu.Lock()
	same := slices.EqualFunc(s.screens, screens, Screen.equal)
	s.screens = screens
	r.mu.Unlock()
	if !same {
		r.tell()
	}
}

// unwatched has a server probed whose watch has ended.
func (r *Registry) unwatched(s *server, began time.Time, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	s.watched = false
	if now.Sub(began) < shortWatch {
		s.watchAfter = now.Add(watchPause)
	}
	if s.asking == nil && s.again.IsZero() {
		s.again = now
	}
	r.log.Debug("display is no longer watched for changes", "display", s.address.server, "err", err)
}

// tell has Run report a change.
func (r *Registry) tell() {
	select {
	case r.news <- struct{}{}:
	default: // it will
	}
}

func (s Screen) equal(t Screen) bool {
	return s.Width == t.Width && s.Height == t.Height && s.Scale == t.Scale && s.Why == t.Why &&
		slices.Equal(s.Monitors, t.Monitors)
}
