export type Properties = Readonly<Record<string, unknown>>;

/**
 * Properties as Pulumi's engine takes them: a fresh copy without `undefined`, secrets marked as such.
 * Throws on a value that would silently become something else on the way.
 */
export function toWire(properties: object): Properties {
  const marked = Object.entries(properties).filter(([, value]) => value !== undefined);
  return Object.fromEntries(
    marked.map(([key, value]) => {
      const copy = plain(value, key, holdsSecrets.has(key));
      return [key, isSecretItself(key, copy) ? markSecret(copy) : copy];
    }),
  );
}

const holdsSecrets = new Set(["cluster", "s3"]);

function isSecretItself(key: string, value: unknown): boolean {
  return key === "token" && typeof value === "string";
}

const secretKeys = new Set([
  "privateKey",
  "password",
  "privateKeyPassword",
  "sudoPassword",
  "secretAccessKey",
  "sessionToken",
  "token",
]);

function plain(value: unknown, path: string, marking: boolean): unknown {
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number" && Number.isFinite(value)) return value;
  if (Array.isArray(value)) return value.map((item, index) => plain(item, `${path}[${index}]`, marking));
  if (typeof value !== "object" || !isPlainObject(value)) {
    throw new TypeError(`${path}: a ${typeof value} cannot be a property`);
  }
  const entries = Object.entries(value).filter(([, entry]) => entry !== undefined);
  return Object.fromEntries(
    entries.map(([key, entry]) => {
      const copy = plain(entry, `${path}.${key}`, marking);
      return [key, marking && isSecret(key, copy) ? markSecret(copy) : copy];
    }),
  );
}

// A proxy's URL can name its user and password.
function isSecret(key: string, value: unknown): boolean {
  return typeof value === "string" && (secretKeys.has(key) || (key === "proxy" && value.includes("@")));
}

// Pulumi's signature of a secret; a test pins it to Pulumi's own.
function markSecret(value: unknown): Properties {
  return { "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", value };
}

function isPlainObject(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
