import { knownSecrets } from "../../../../provider/distributions/embedded-etcd/known-secrets";
import { redact } from "../../../../provider/transport/shell";
import { embeddedFacts } from "../../../support/embedded-facts";

test("what a server is told in secret is not shown, whichever way it was told", () => {
  const facts = embeddedFacts({
    configFiles: [{ path: "/etc/rancher/k3s/config.yaml", text: "etcd-s3-secret-key: s3-key\nnode-name: one\n" }],
    args: ["--agent-token", "for-agents"],
    environment: [{ name: "K3S_TOKEN", value: "K10abc::server:pass" }],
  });
  const log = "s3-key, for-agents, K10abc::server:pass, pass, one, given, K10def::server:other, other";
  expect(redact(log, knownSecrets(facts, "K10def::server:other"))).toBe(
    "[secret], [secret], [secret], [secret], one, given, [secret], [secret]",
  );
  expect(redact("given", knownSecrets(facts, "given"))).toBe("[secret]");
});

test("a server that is told nothing hides nothing", () => {
  expect(knownSecrets(embeddedFacts({ configFiles: [] }), undefined)).toEqual([]);
});
