import type { DistributionName } from "../model";
import {
  duration,
  type Fields,
  flag,
  integer,
  isAbsent,
  join,
  lines,
  matching,
  object,
  oneOf,
  type Report,
  type Rule,
  text,
} from "./rules";
import { isUnknown } from "./unknown";

const bucket = text((value) => {
  if (value.includes("://")) return "must be the bucket's name, without a scheme";
  return value.includes("/") ? "must be the bucket's name alone; a prefix goes in `folder`" : undefined;
});

const folder = text((value) => {
  if (value.startsWith("/") || value.endsWith("/")) return "must not begin or end with a slash";
  return value.includes("//") || value.split("/").some((part) => part === "." || part === "..")
    ? "must not contain an empty part, `.` or `..`"
    : undefined;
});

const endpoint = text((value) => {
  if (value.includes("://")) return "must be `host[:port]`, without a scheme; plain HTTP is `insecure: true`";
  if (value.includes("/")) return "must be `host[:port]`, without a path";
  return /^(\[[0-9a-fA-F:]+\]|[^\s:@]+)(:\d{1,5})?$/.test(value) ? undefined : "must be `host[:port]`";
});

const pem = lines((value) =>
  value.includes("-----BEGIN CERTIFICATE-----") ? undefined : "must be the text of a certificate in PEM format",
);

const configSecret = matching(
  /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/,
  "must be the name of a Secret: lower-case letters, digits, dashes and dots",
);

const fields = {
  bucket,
  folder,
  region: matching(/^[a-zA-Z0-9-]+$/, "must be a region's name, such as `eu-central-1`"),
  endpoint,
  accessKeyId: text(),
  secretAccessKey: text(),
  sessionToken: text(),
  profile: text(),
  endpointCa: pem,
  skipTlsVerify: flag,
  insecure: flag,
  bucketLookup: oneOf("auto", "dns", "path"),
  timeout: duration,
  proxy: matching(/^https?:\/\/[^\s]+$/, "must be a URL such as `http://proxy.example:3128`"),
  retention: integer(1),
  keepRounds: integer(1),
};

const etcdRule = object(fields, {
  required: ["bucket"],
  refused: { configSecret: "plain etcd has no configSecret" },
  also: checkTogether,
});

const embeddedRule = object({ ...fields, configSecret }, { required: ["bucket"], also: checkTogether });

/** Where S3 is. */
export function s3Rule(distribution: DistributionName | undefined): Rule {
  return distribution === "etcd" ? etcdRule : embeddedRule;
}

function checkTogether(s3: Fields, path: string, report: Report): void {
  const given = (name: string): boolean => !isAbsent(s3[name]) && s3[name] !== false;
  const conflict = (name: string, other: string): void => {
    if (!given(name) || !given(other) || isUnknown(s3[name]) || isUnknown(s3[other])) return;
    report(join(path, name), `cannot be given together with \`${other}\``);
  };
  conflict("endpointCa", "skipTlsVerify");
  conflict("insecure", "endpointCa");
  conflict("insecure", "skipTlsVerify");
  conflict("retention", "keepRounds");
  conflict("profile", "accessKeyId");
  if (given("accessKeyId") !== given("secretAccessKey")) {
    const missing = given("accessKeyId") ? "secretAccessKey" : "accessKeyId";
    report(join(path, missing), "is required: `accessKeyId` and `secretAccessKey` go together");
  }
  if (given("sessionToken") && !given("accessKeyId"))
    report(join(path, "accessKeyId"), "is required with `sessionToken`");
}
