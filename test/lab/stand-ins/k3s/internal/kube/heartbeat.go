package kube

import (
	"context"
	"errors"
	"time"
)

// Heartbeat renews what a Node says of itself. A Node that was deleted is not made again: that takes a restart of its server or agent.
func (s *Store) Heartbeat(ctx context.Context, node Node) error {
	_, err := s.Get(ctx, "nodes", "", node.Name)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.UpsertNode(ctx, node)
}

// MarkSilent makes the Ready condition of Nodes that were silent for so long unknown, as the controller manager does.
func (s *Store) MarkSilent(ctx context.Context, patience time.Duration) error {
	nodes, err := s.List(ctx, "nodes", "")
	if err != nil {
		return err
	}
	for _, node := range nodes {
		if !isSilent(node, patience) {
			continue
		}
		if _, err := s.Change(ctx, "nodes", "", Text(node, "metadata", "name"), func(node Object) {
			ready := readyCondition(node)
			ready["status"], ready["reason"], ready["message"] = "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status."
			ready["lastTransitionTime"] = time.Now().UTC().Format(time.RFC3339)
		}); err != nil {
			return err
		}
	}
	return nil
}

func isSilent(node Object, patience time.Duration) bool {
	ready := readyCondition(node)
	last, err := time.Parse(time.RFC3339, Text(ready, "lastHeartbeatTime"))
	return err == nil && Text(ready, "status") == "True" && time.Since(last) > patience
}

func readyCondition(node Object) Object {
	conditions, _ := Child(node, "status")["conditions"].([]any)
	for _, one := range conditions {
		if fields, ok := one.(map[string]any); ok && fields["type"] == "Ready" {
			return fields
		}
	}
	return Object{}
}
