package snapshots

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/robfig/cron/v3"

	"lab/stand-ins/k3s/internal/log"
)

// StartSchedule takes snapshots as etcd-snapshot-schedule-cron says, and at every SIGUSR1, until ctx ends.
// It also brings the objects in line with the files every etcd-snapshot-reconcile-interval.
func (m *Manager) StartSchedule(ctx context.Context) error {
	triggered := make(chan os.Signal, 1)
	signal.Notify(triggered, syscall.SIGUSR1)
	logger := cron.VerbosePrintfLogger(cronLines{})
	schedule := cron.New(cron.WithLogger(logger), cron.WithChain(cron.SkipIfStillRunning(logger)))
	if !m.options.Snapshots.Disabled {
		if _, err := schedule.AddFunc(m.options.Snapshots.Cron, func() { m.round(ctx) }); err != nil {
			return err
		}
		schedule.Start()
	}
	interval := m.options.Snapshots.Reconcile
	if interval <= 0 {
		interval = 10 * time.Minute
	}
	reconcile := time.NewTicker(interval)
	go func() {
		defer signal.Stop(triggered)
		defer reconcile.Stop()
		for {
			select {
			case <-ctx.Done():
				schedule.Stop()
				return
			case <-triggered:
				if !m.options.Snapshots.Disabled {
					m.round(ctx)
				}
			case <-reconcile.C:
				m.Reconcile(ctx)
			}
		}
	}()
	return nil
}

// round is one scheduled snapshot with retention. K3s waits up to five seconds first, so that servers do not all write at once; the stand-in does not.
func (m *Manager) round(ctx context.Context) {
	result, err := m.save(ctx)
	if err != nil {
		log.Errorf("Failed to take scheduled snapshot: %v", err)
		return
	}
	m.reconcile(ctx, result)
}

type cronLines struct{}

func (cronLines) Printf(format string, values ...any) { log.Infof(format, values...) }
