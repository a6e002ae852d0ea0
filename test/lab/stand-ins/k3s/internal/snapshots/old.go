package snapshots

import (
	"errors"
	"io"

	"lab/stand-ins/k3s/internal/config"
	"lab/stand-ins/k3s/internal/personality"
)

func runOld(p personality.Personality, subcommand string, options *config.Options, stdout io.Writer) error {
	return errors.New("not yet")
}
