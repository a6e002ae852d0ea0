import * as pulumi from "@pulumi/pulumi";

/** The kinds of resource. Their names are in the state of every resource ever made: they never change. */
export type Kind = "BackupConfig" | "Snapshot" | "SnapshotRestore";

/** The type of a kind's resources. */
export function resourceType(kind: Kind): string {
  return `pulumi-nodejs:dynamic/etcd-backup:${kind}`;
}

/**
 * What Pulumi evaluates to find a kind's provider: the installed package, never the one that made the resource.
 * It is in the state of every resource ever made, and the same in every version.
 */
export function providerSource(kind: Kind): string {
  return `exports.handler=()=>{try{require.resolve("pulumi-etcd-backup/provider")}catch(e){throw new Error("pulumi-etcd-backup is not installed here: add it to the dependencies of this project's package.json")}return require("pulumi-etcd-backup/provider").${kind}}`;
}

/** The properties of a resource: its inputs, a place for each output, and what the provider is not told otherwise. */
export function propertiesOf(
  kind: Kind,
  name: string,
  inputs: object,
  outputs: readonly string[],
  options: pulumi.CustomResourceOptions = {},
): pulumi.Inputs {
  const { customTimeouts, parent } = options;
  return {
    ...Object.fromEntries(outputs.map((output) => [output, undefined])),
    ...inputs,
    __provider: providerSource(kind),
    __opts: { urn: pulumi.createUrn(name, resourceType(kind), parent), timeouts: customTimeouts },
  };
}
