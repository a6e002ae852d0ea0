import { deleteCommand } from "../../../../../provider/distributions/embedded-etcd/snapshots/save-command";
import { embeddedFacts, rke2Program } from "../../../../support/embedded-facts";

test("a snapshot is deleted on its own server, by its name as the last word", () => {
  expect(deleteCommand(embeddedFacts(), "before-s1-1767225600").text).toBe(
    "/usr/local/bin/k3s etcd-snapshot delete --etcd-server=https://127.0.0.1:6443 --etcd-s3=false before-s1-1767225600",
  );
});

test("with the server's own places, and on RKE2 by its own supervisor", () => {
  const facts = embeddedFacts({ program: rke2Program, dataDir: "/srv/rke2" });
  expect(deleteCommand(facts, "x-s1-1767225600").text).toBe(
    "/usr/local/bin/rke2 etcd-snapshot delete --data-dir=/srv/rke2 --etcd-server=https://127.0.0.1:9345 --etcd-s3=false x-s1-1767225600",
  );
});

test("a server with IPv6 alone is asked by IPv6", () => {
  expect(deleteCommand(embeddedFacts({ address: "fd00::11" }), "x-s1-1767225600").text).toContain("https://[::1]:6443");
});
