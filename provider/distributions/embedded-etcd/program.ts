/** What tells K3s and RKE2 apart for us. RKE2 has K3s inside: the rest is the same. */
export interface Program {
  readonly name: "k3s" | "rke2";
  /** As people write it. */
  readonly title: "K3s" | "RKE2";
  /** Before the names of its environment variables: `K3S_TOKEN`. */
  readonly prefix: "K3S" | "RKE2";
  readonly configDir: string;
  readonly dataDir: string;
  readonly unit: string;
  readonly agentUnit: string;
  /** Where servers join and the command line is answered, on every server, unless its settings say otherwise. */
  readonly supervisorPort: number;
  /** The settings that say so, the one that counts first. */
  readonly supervisorPortSettings: readonly string[];
  /** True when etcd runs in a container that outlives the unit, until the kill script has run. */
  readonly needsKillScript: boolean;
  /** Words that ask the API server, on a server. */
  kubectl(binary: string, dataDir: string): readonly string[];
}
