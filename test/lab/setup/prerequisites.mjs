// What the set-up cannot bring by itself.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";

/** Everything that is missing, at once. */
export function missingPrerequisites({ lab }) {
  return [
    ...(process.platform === "linux" ? [] : [`Linux is needed, this is ${process.platform}`]),
    ...(Number(process.versions.node.split(".")[0]) >= 20
      ? []
      : [`Node 20 or newer is needed, this is ${process.version}`]),
    ...(answers("npm", ["--version"]) ? [] : ["npm is needed"]),
    ...(answers("flock", ["--version"]) ? [] : ["flock is needed (package util-linux)"]),
    ...(lab ? missingForTheLab() : []),
  ];
}

function missingForTheLab() {
  const go = answers("go", ["version"]);
  const version = /go(\d+)\.(\d+)/.exec(go ?? "");
  const newEnough = version && (Number(version[1]) > 1 || Number(version[2]) >= 26);
  return [
    ...(process.getuid?.() === 0 ? [] : ["root is needed: the lab boots machines with systemd-nspawn"]),
    ...(isBookworm()
      ? []
      : ["Debian 12 (bookworm) with apt-get is needed: the lab's machines and etcd 3.4 come from it"]),
    ...(newEnough ? [] : [`Go 1.26 or newer is needed on PATH, ${go ? `this is ${go}` : "there is none"}`]),
  ];
}

function isBookworm() {
  const release = existsSync("/etc/os-release") ? readFileSync("/etc/os-release", "utf8") : "";
  return /^VERSION_CODENAME=bookworm$/m.test(release) && answers("apt-get", ["--version"]) !== undefined;
}

function answers(command, words) {
  const { status, stdout } = spawnSync(command, words, {
    encoding: "utf8",
    env: { ...process.env, GOTOOLCHAIN: "local" },
  });
  return status === 0 ? stdout.trim() : undefined;
}
