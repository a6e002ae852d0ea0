package server

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"lab/stand-ins/k3s/internal/config"
	"lab/stand-ins/k3s/internal/fault"
	"lab/stand-ins/k3s/internal/kube"
	"lab/stand-ins/k3s/internal/log"
	"lab/stand-ins/k3s/internal/personality"
)

// RunAgent is the command `agent`: it holds a connection to a server, by which the server knows that the node is there.
func RunAgent(p personality.Personality, args []string, env map[string]string) int {
	options, err := config.Parse(p, "agent", args, env)
	if err != nil {
		return log.Fatalf("%s", err)
	}
	if options.Server == "" {
		return log.Fatalf("--server is required")
	}
	if options.Token == "" {
		return log.Fatalf("--token is required")
	}
	name := options.NodeName
	if name == "" {
		name, _ = os.Hostname()
	}
	password, err := nodePassword()
	if err != nil {
		return log.Fatalf("%s", err)
	}
	go func() {
		<-terminated()
		os.Exit(0)
	}()
	log.Infof("Starting %s agent %s (standin0)", p.Program, p.Version)
	for notified := false; ; time.Sleep(time.Second) {
		err := holdConnection(p, options, strings.ToLower(name), password, func() {
			if !notified {
				notifyReady()
			}
			notified = true
		})
		log.Errorf("Remotedialer proxy error; reconnecting...: %v", err)
		if _, on := fault.On("agent-stays-away"); on && notified {
			select {} // Seen after restores: only a restart of the agent brings it back.
		}
	}
}

// holdConnection registers the node and reads until the connection breaks.
func holdConnection(p personality.Personality, options *config.Options, name, password string, connected func()) error {
	server, err := dialRemote(options.Server, parseToken(options.Token))
	if err != nil {
		return err
	}
	request, err := http.NewRequest(http.MethodGet, fmt.Sprintf("%s/v1-%s/connect", server.url, p.Program), nil)
	if err != nil {
		return err
	}
	request.SetBasicAuth("node", server.token.password)
	request.Header.Set("Node-Name", name)
	request.Header.Set("Node-Password", password)
	request.Header.Set("Node-Address", ownAddress())
	answer, err := server.http.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	if answer.StatusCode != http.StatusOK {
		lines.Scan()
		return fmt.Errorf("%s: %s", answer.Status, lines.Text())
	}
	for lines.Scan() {
		connected()
	}
	return lines.Err()
}

// serveConnection holds the other end: as long as it stands, the node is ready.
func (s *supervisor) serveConnection(answer http.ResponseWriter, request *http.Request) {
	name := request.Header.Get("Node-Name")
	if err := s.objects.EnsureNodePassword(request.Context(), name, request.Header.Get("Node-Password")); err != nil {
		sendStatus(answer, request, http.StatusForbidden, err.Error())
		return
	}
	node := kube.Node{Name: name, Address: request.Header.Get("Node-Address"), Agent: true, Ready: true}
	report := s.objects.UpsertNode
	for {
		short, cancel := context.WithTimeout(request.Context(), 3*time.Second)
		err := report(short, node)
		cancel()
		report = s.objects.Heartbeat
		if err == nil {
			_, err = answer.Write([]byte("ready\n"))
		}
		if err != nil {
			break
		}
		answer.(http.Flusher).Flush()
		select {
		case <-request.Context().Done():
		case <-time.After(2 * time.Second):
			continue
		}
		break
	}
	last, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	node.Ready = false
	_ = report(last, node)
}
