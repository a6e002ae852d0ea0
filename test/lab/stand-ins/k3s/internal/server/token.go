package server

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"

	"lab/stand-ins/k3s/internal/config"
	"lab/stand-ins/k3s/internal/log"
	"lab/stand-ins/k3s/internal/personality"
)

// token is what a user gives: a bare password, or K10<hash of the CA>::<user>:<password>.
type token struct{ caHash, user, password string }

func parseToken(text string) token {
	text = strings.TrimSpace(text)
	rest, full := strings.CutPrefix(text, "K10")
	if !full {
		return token{user: "server", password: text}
	}
	hash, credentials, found := strings.Cut(rest, "::")
	if !found {
		return token{user: "server", password: text}
	}
	user, password, _ := strings.Cut(credentials, ":")
	return token{caHash: hash, user: user, password: password}
}

// writeToken puts the token in its full form into server/token and the two names that point to it.
func (d paths) writeToken(password string) error {
	authority, err := os.ReadFile(d.tls("server-ca.crt"))
	if err != nil {
		return err
	}
	content := fmt.Sprintf("K10%x::server:%s\n", sha256.Sum256(authority), password)
	if err := os.WriteFile(d.token(), []byte(content), 0o600); err != nil {
		return err
	}
	for _, name := range []string{"agent-token", "node-token"} {
		if exists(d.server(name)) {
			continue
		}
		if err := os.Symlink(d.token(), d.server(name)); err != nil {
			return err
		}
	}
	return nil
}

func randomHex(bytes int) string {
	random := make([]byte, bytes)
	_, _ = rand.Read(random)
	return hex.EncodeToString(random)
}

// Token is `token generate` and `token list`: what a user runs to look at it.
func Token(p personality.Personality, args []string, env map[string]string) int {
	if len(args) > 0 && args[0] == "generate" {
		fmt.Printf("%s.%s\n", randomHex(3), randomHex(8))
		return 0
	}
	if _, err := config.Parse(p, "token", args[min(1, len(args)):], env); err != nil {
		return log.Fatalf("%s", err)
	}
	return log.Fatalf("the stand-in knows only `token generate`")
}
