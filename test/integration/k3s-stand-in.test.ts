import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { repository } from "../lab/equipment";

test("the stand-in for K3s and RKE2 passes its own tests, among them the comparison with what a real one printed", async () => {
  const cwd = join(repository, "test/lab/stand-ins/k3s");
  const env = { ...process.env, GOTOOLCHAIN: "local", GOWORK: "off", GOFLAGS: "-mod=readonly", CGO_ENABLED: "0" };
  // Rejects with all of the output unless it exits 0.
  const { stdout } = await promisify(execFile)("go", ["test", "./..."], { cwd, env });
  expect(stdout).toMatch(/^ok\s/m);
});
