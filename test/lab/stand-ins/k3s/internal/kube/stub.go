package kube

import (
	"net/http"

	"lab/stand-ins/k3s/internal/personality"
)

func (s *Store) Handler() http.Handler { return nil }

func CLI(p personality.Personality, args []string, env map[string]string) int { return 0 }
