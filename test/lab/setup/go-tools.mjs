// Tools built from pinned Go modules: each has a module of its own, since one for all would mix their dependencies.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { provide } from "./cache.mjs";
import { run, step } from "./progress.mjs";

const modules = fileURLToPath(new URL("../tools/", import.meta.url));
const standIns = fileURLToPath(new URL("../stand-ins/", import.meta.url));

/** The Pulumi CLI: the one on PATH where it is new enough, else built. */
export async function pulumi() {
  return pulumiOnPath() ?? goTool(tools.pulumi);
}

export const etcd36 = () => goTool(tools.etcd36);
export const etcd35 = () => goTool(tools.etcd35);
export const versitygw = () => goTool(tools.versitygw);

/** What behaves as the binaries `k3s` and `rke2`. Made anew whenever one of its sources changes. */
export const k3sStandIn = () => goTool(tools.k3sStandIn);

const etcdBinaries = {
  etcd: "go.etcd.io/etcd/server/v3",
  etcdctl: "go.etcd.io/etcd/etcdctl/v3",
  etcdutl: "go.etcd.io/etcd/etcdutl/v3",
};

const tools = {
  pulumi: {
    name: "pulumi",
    version: "3.245.0",
    expect: "5 minutes",
    binaries: { pulumi: "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi" },
    // Without its version the Automation API refuses it.
    linkerFlags: "-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v3.245.0",
  },
  etcd36: { name: "etcd-3.6", version: "3.6.16", expect: "60 s", binaries: etcdBinaries },
  etcd35: { name: "etcd-3.5", version: "3.5.33", expect: "60 s", binaries: etcdBinaries },
  versitygw: {
    name: "versitygw",
    version: "1.8.0",
    expect: "80 s",
    binaries: { versitygw: "github.com/versity/versitygw/cmd/versitygw" },
  },
  k3sStandIn: {
    name: "k3s-stand-in",
    version: "0",
    expect: "60 s",
    cwd: join(standIns, "k3s"),
    binaries: { "k3s-stand-in": "." },
  },
};

function goTool({ name, version, expect, binaries, linkerFlags = "-s -w", cwd = join(modules, name) }) {
  const recipe = [
    readFileSync(join(cwd, "go.mod"), "utf8"),
    readFileSync(join(cwd, "go.sum"), "utf8"),
    binaries,
    linkerFlags,
    ...goSources(cwd),
  ];
  const title = name.replace(/-\d.*/, "");
  return provide(`${title}-${version}`, recipe, (directory) =>
    step(
      `${title} ${version} (go build)`,
      async () => {
        for (const [binary, source] of Object.entries(binaries)) {
          const words = ["build", "-ldflags", linkerFlags, "-o", join(directory, binary), source];
          await run("go", words, { cwd, env: goEnvironment });
        }
      },
      { expect },
    ),
  );
}

/** The module's own sources, tests apart. A tool from elsewhere has none. */
function goSources(cwd) {
  return readdirSync(cwd, { recursive: true })
    .filter((path) => path.endsWith(".go") && !path.endsWith("_test.go"))
    .sort()
    .map((path) => [path, readFileSync(join(cwd, path), "utf8")]);
}

const goEnvironment = {
  GOTOOLCHAIN: "local",
  GOFLAGS: "-mod=readonly -buildvcs=false",
  GOWORK: "off",
  CGO_ENABLED: "0",
};

function pulumiOnPath() {
  const { status, stdout } = spawnSync("pulumi", ["version"], {
    encoding: "utf8",
    env: { ...process.env, PULUMI_SKIP_UPDATE_CHECK: "1" },
  });
  const [, major, minor] = (status === 0 && /^v(\d+)\.(\d+)\./.exec(stdout)) || [];
  if (Number(major) !== 3 || !(Number(minor) >= 245)) return undefined;
  const found = spawnSync("/bin/sh", ["-c", "command -v pulumi"], { encoding: "utf8" }).stdout.trim();
  return dirname(realpathSync(found));
}
