import {
  fieldsAt,
  type Fields,
  flag,
  integer,
  isAbsent,
  isFields,
  join,
  lines,
  matching,
  object,
  type Report,
  text,
} from "./rules";
import { holdsUnknown, isUnknown } from "./unknown";

const host = text((value) => {
  if (value.includes("://")) return "must be a name or address, without a scheme";
  if (value.includes("@")) return "must be a name or address; the user goes in `user`";
  return /[\s/]/.test(value) ? "must be a name or address" : undefined;
});

// Seen often: the path of the key where the text of the key belongs.
const privateKey = lines((value) => {
  if (value.includes("PRIVATE KEY-----") || value.startsWith("PuTTY-User-Key-File-")) return undefined;
  if (!value.trim().includes("\n") && /^[~/.]|\.(pem|key)$|id_[a-z0-9]+$/.test(value.trim())) {
    return "is a path; it must be the text of the key: read the file in the program";
  }
  return "must be the text of a private key, in PEM or OpenSSH format";
});

const hostKey = matching(
  /^(ssh-(ed25519|rsa)|ecdsa-sha2-nistp(256|384|521)|sk-[a-z0-9@.-]+) [A-Za-z0-9+/]{32,}={0,2}( .*)?$/,
  "must be a public host key as in known_hosts, without the host name: `ssh-ed25519 AAAA…`",
);

const proxyFields = {
  host,
  port: integer(1, 65_535),
  user: text(),
  password: text(),
  privateKey,
  privateKeyPassword: text(),
  agentSocketPath: text(),
  hostKey,
  perDialTimeout: integer(0),
  dialErrorLimit: integer(-1),
  knownHosts: lines(),
  acceptNewHostKey: flag,
};

export const connectionRule = object({
  ...proxyFields,
  proxy: object(proxyFields, {
    required: ["host"],
    refused: {
      proxy: "is not supported: one bastion at most",
      local: "has no meaning for a bastion",
      sudoPassword: "has no meaning for a bastion: nothing is run there",
    },
  }),
  sudoPassword: text(),
  local: flag,
});

/**
 * Reports what is wrong between the machines in these groups: how each is reached, and that no two are the same machine.
 */
export function checkReachable(
  cluster: Fields,
  groups: readonly ("servers" | "agents")[],
  path: string,
  report: Report,
): void {
  const shared = fieldsAt(cluster, "connection");
  const seen = new Map<string, string>();
  if (isUnknown(cluster.connection)) return;
  for (const group of groups) {
    const machines: readonly unknown[] = Array.isArray(cluster[group]) ? cluster[group] : [];
    let locals = 0;
    machines.forEach((machine, index) => {
      if (!isFields(machine) || isUnknown(machine.connection)) return;
      const at = `${join(path, group)}[${index}]`;
      const merged = { ...shared, ...fieldsAt(machine, "connection") };
      if (merged.local === true && group === "agents") {
        return report(`${at}.connection.local`, "must be false: only a server can be the machine that Pulumi runs on");
      }
      if (merged.local === true) {
        if (machines.length > 1 && locals++ === 0) {
          report(`${at}.connection.local`, "is only for a cluster of one server");
        }
        return checkLocal(merged, at, report);
      }
      if (isAbsent(merged.host)) return report(`${at}.connection.host`, "is required, unless `local` is true");
      const address = addressOf(merged);
      if (address === undefined) return;
      const first = seen.get(address);
      if (first !== undefined) report(`${at}.connection.host`, `is the same machine as ${first}`);
      else seen.set(address, at);
    });
  }
}

function checkLocal(merged: Fields, at: string, report: Report): void {
  for (const name of Object.keys(merged)) {
    if (isAbsent(merged[name]) || ["local", "sudoPassword"].includes(name)) continue;
    report(
      `${at}.connection.${name}`,
      "has no meaning together with `local: true`, also when it comes from `cluster.connection`",
    );
  }
}

// Private addresses repeat behind different bastions.
function addressOf(merged: Fields): string | undefined {
  const address = [merged.host, merged.port ?? 22, fieldsAt(merged, "proxy")?.host];
  return holdsUnknown(address) ? undefined : JSON.stringify(address);
}
