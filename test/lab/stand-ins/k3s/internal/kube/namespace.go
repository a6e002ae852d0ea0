package kube

import (
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// magic opens every value that Kubernetes stores in protobuf.
const magic = "k8s\x00"

// encodeNamespace writes a Namespace as the API server stores it, so that a snapshot of the stand-in tells its cluster's identity as a real one does.
func encodeNamespace(name, uid string, created time.Time) []byte {
	var timestamp []byte
	timestamp = protowire.AppendVarint(protowire.AppendTag(timestamp, 1, protowire.VarintType), uint64(created.Unix()))
	timestamp = protowire.AppendVarint(protowire.AppendTag(timestamp, 2, protowire.VarintType), 0)

	metadata := field(nil, 1, name)
	metadata = field(metadata, 2, "")
	metadata = field(metadata, 3, "")
	metadata = field(metadata, 4, "")
	metadata = field(metadata, 5, uid)
	metadata = field(metadata, 6, "")
	metadata = protowire.AppendVarint(protowire.AppendTag(metadata, 7, protowire.VarintType), 0)
	metadata = field(metadata, 8, string(timestamp))
	metadata = field(metadata, 11, string(field(field(nil, 1, "kubernetes.io/metadata.name"), 2, name)))

	namespace := field(nil, 1, string(metadata))
	namespace = field(namespace, 2, string(field(nil, 1, "kubernetes")))
	namespace = field(namespace, 3, string(field(nil, 1, "Active")))

	unknown := field(nil, 1, string(field(field(nil, 1, "v1"), 2, "Namespace")))
	unknown = field(unknown, 2, string(namespace))
	unknown = field(unknown, 3, "")
	unknown = field(unknown, 4, "")
	return append([]byte(magic), unknown...)
}

func decodeNamespace(content []byte) Object {
	metadata := read(read(read(content[len(magic):])[2].bytes)[1].bytes)
	name := string(metadata[1].bytes)
	created := time.Unix(int64(read(metadata[8].bytes)[1].number), 0)
	return Object{
		"metadata": Object{
			"name": name, "uid": string(metadata[5].bytes), "creationTimestamp": created.UTC().Format(time.RFC3339),
			"labels": Object{"kubernetes.io/metadata.name": name},
		},
		"spec":   Object{"finalizers": []any{"kubernetes"}},
		"status": Object{"phase": "Active"},
	}
}

func field(message []byte, number protowire.Number, content string) []byte {
	return protowire.AppendString(protowire.AppendTag(message, number, protowire.BytesType), content)
}

type content struct {
	bytes  []byte
	number uint64
}

// read takes a message apart; of a repeated field the last counts.
func read(message []byte) map[protowire.Number]content {
	fields := map[protowire.Number]content{}
	for len(message) > 0 {
		number, kind, length := protowire.ConsumeTag(message)
		if length < 0 {
			return fields
		}
		message = message[length:]
		switch kind {
		case protowire.BytesType:
			value, n := protowire.ConsumeBytes(message)
			if n < 0 {
				return fields
			}
			fields[number], message = content{bytes: value}, message[n:]
		case protowire.VarintType:
			value, n := protowire.ConsumeVarint(message)
			if n < 0 {
				return fields
			}
			fields[number], message = content{number: value}, message[n:]
		default:
			return fields
		}
	}
	return fields
}
