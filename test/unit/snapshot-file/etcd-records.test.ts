import { readKeyValue, readNumber, readRevision } from "../../../provider/snapshot-file/etcd-records";

const key = Buffer.from("00000000000003705f0000000000000002", "hex");

test("a revision has a main and a sub number, and tells whether it deletes", () => {
  expect(readRevision(key)).toEqual({ main: 880, sub: 2, isTombstone: false });
  expect(readRevision(Buffer.concat([key, Buffer.from("t")]))).toEqual({ main: 880, sub: 2, isTombstone: true });
});

test.each([
  ["a short one", key.subarray(1)],
  ["one with another mark", Buffer.concat([key, Buffer.from("x")])],
  ["one without a line between", Buffer.from(key).fill("-", 8, 9)],
  ["a negative one", Buffer.from(key).fill(0xff, 0, 1)],
])("%s is none", (_, bytes) => {
  expect(() => readRevision(bytes)).toThrow();
});

// The fields of an `mvccpb.KeyValue`, written down one by one.
const message = Buffer.from(
  "0a04" + "2f616263" + "10e807" + "18f007" + "2003" + "2a05" + "68656c6c6f" + "30959aef3a",
  "hex",
);

test("a value tells its key, its revisions and how long it is", () => {
  expect(readKeyValue(message)).toEqual({
    ...{ key: Buffer.from("/abc"), createRevision: 1000, modRevision: 1008, version: 3, valueBytes: 5 },
  });
});

test("fields that a later etcd may add are passed over", () => {
  const later = Buffer.concat([Buffer.from("7a0261627801", "hex"), message]);
  expect(readKeyValue(later)).toEqual(readKeyValue(message));
});

test("a value that is cut off anywhere inside a field is refused", () => {
  const ends = [0, 6, 9, 12, 14, 21, 26];
  for (let length = 0; length < message.length; length++) {
    const read = (): unknown => readKeyValue(message.subarray(0, length));
    if (ends.includes(length)) expect(read).not.toThrow();
    else expect(read).toThrow("cannot be read");
  }
});

test.each(["ffffffffffffffffffffff01", "0b", "0d01020304", "0aff01"])("%s is not a value", (hex) => {
  expect(() => readKeyValue(Buffer.from(hex, "hex"))).toThrow("cannot be read");
});

test("numbers are of 8 bytes, and not larger than any of etcd's", () => {
  expect(readNumber(Buffer.from("00000000000003af", "hex"))).toBe(943);
  expect(() => readNumber(Buffer.from("0003af", "hex"))).toThrow("cut off");
  expect(() => readNumber(Buffer.alloc(8, 0xff))).toThrow("larger than any");
});
