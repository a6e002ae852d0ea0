// What comes from Debian: packages of this machine, etcd 3.4, and the image that the lab's machines share.
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { provide } from "./cache.mjs";
import { run, step } from "./progress.mjs";

const packages = [
  ...["systemd-container", "debootstrap", "debian-archive-keyring", "iproute2", "openssh-client", "openssl", "curl"],
  ...["util-linux", "strace", "shellcheck", "busybox", "procps"],
];

let listsAreFresh = false;

export async function installPackages() {
  const { stdout } = spawnSync("dpkg-query", ["-W", "-f", "${Package} ${db:Status-Status}\n", ...packages], {
    encoding: "utf8",
  });
  const installed = new Set(stdout.split("\n"));
  const missing = packages.filter((name) => !installed.has(`${name} installed`));
  if (missing.length === 0) return;
  await step(`Debian packages (${missing.join(" ")})`, async () => {
    await updateLists();
    await apt("install", "--yes", "--no-install-recommends", ...missing);
  });
}

/** etcd and etcdctl 3.4.23. Unpacked, not installed: the package would start an etcd on this machine. */
export function etcd34() {
  const debs = ["etcd-server", "etcd-client"];
  return provide("etcd-3.4.23", debs, (directory) =>
    step("etcd 3.4.23 (Debian)", async () => {
      await updateLists();
      await run("apt-get", ["download", ...debs.map((name) => `${name}=3.4.23-*`)], { cwd: directory });
      for (const deb of readdirSync(directory)) await run("dpkg-deb", ["-x", deb, "unpacked"], { cwd: directory });
      for (const name of ["etcd", "etcdctl"]) {
        copyFileSync(join(directory, "unpacked/usr/bin", name), join(directory, name));
      }
      for (const name of readdirSync(directory).filter((entry) => !["etcd", "etcdctl"].includes(entry))) {
        rmSync(join(directory, name), { recursive: true });
      }
    }),
  );
}

// `locales` for one language that is not English: remote scripts must not depend on it.
const imagePackages = [
  ...["systemd", "systemd-sysv", "dbus", "openssh-server", "iproute2", "sudo", "ca-certificates", "curl", "procps"],
  ...["openssl", "locales"],
];

// No machine id and no host keys: every machine has its own. No timers of the image: the lab's machines do what the test says.
const finishImage = `set -eu
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
systemctl enable systemd-networkd.service ssh.service
systemctl mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
  systemd-networkd-wait-online.service console-getty.service
localedef -i de_DE -f UTF-8 de_DE.UTF-8
rm -f /etc/machine-id /var/lib/dbus/machine-id /etc/ssh/ssh_host_*
rm -rf /var/lib/apt/lists/* /var/cache/apt/*
: > /etc/resolv.conf`;

/** Debian 12 with systemd and sshd: the lower layer of every machine. */
export function machineImage() {
  return provide("machine-bookworm", [imagePackages, finishImage], (directory) =>
    step(
      "image of the machines (debootstrap)",
      async () => {
        mkdirSync(directory, { recursive: true });
        const words = ["--variant=minbase", `--include=${imagePackages.join(",")}`, "bookworm", directory, mirror()];
        // In a mount namespace of its own: what it mounts goes with it, also when it is killed.
        await run("unshare", ["--mount", "debootstrap", ...words]);
        await run("chroot", [directory, "/bin/sh", "-c", finishImage]);
      },
      { expect: "60 s" },
    ),
  );
}

async function updateLists() {
  if (listsAreFresh) return;
  await apt("update");
  listsAreFresh = true;
}

function apt(...words) {
  return run("apt-get", ["-o", "DPkg::Lock::Timeout=300", ...words], { env: { DEBIAN_FRONTEND: "noninteractive" } });
}

/** The mirror that this machine uses itself. */
function mirror() {
  const list = "/etc/apt/sources.list";
  const folder = "/etc/apt/sources.list.d";
  const files = [...(existsSync(list) ? [list] : []), ...readdirSync(folder).map((name) => join(folder, name))];
  const sources = files.flatMap((path) => {
    const text = readFileSync(path, "utf8");
    if (path.endsWith(".sources")) return text.split(/\n\s*\n/).map(readStanza);
    return path.endsWith(".list") ? text.split("\n").map(readLine) : [];
  });
  const found = sources.find(
    ({ uri, suites, components }) => uri && suites.includes("bookworm") && components.includes("main"),
  );
  if (found === undefined)
    throw new Error("no apt source of this machine names the suite bookworm with its component main");
  return found.uri;
}

function readStanza(stanza) {
  const fields = Object.fromEntries(
    stanza.split("\n").flatMap((line) => {
      const [, name, value] = /^([\w-]+):\s*(.*)$/.exec(line) ?? [];
      return name === undefined ? [] : [[name.toLowerCase(), value.split(/\s+/)]];
    }),
  );
  const enabled = fields.enabled?.[0] !== "no" && (fields.types ?? []).includes("deb");
  return {
    uri: enabled ? fields.uris?.[0] : undefined,
    suites: fields.suites ?? [],
    components: fields.components ?? [],
  };
}

function readLine(line) {
  const [, uri, suite, components] = /^\s*deb\s+(?:\[.*?\]\s+)?(\S+)\s+(\S+)\s+(.*)$/.exec(line) ?? [];
  return { uri, suites: [suite], components: (components ?? "").split(/\s+/) };
}
