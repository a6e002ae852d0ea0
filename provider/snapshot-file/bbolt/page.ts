import { Damage } from "../damage";
import { PAGE_HEADER_BYTES, readPageId } from "./meta";

/**
 * A page of a tree with all that overflows from it: bbolt's internal/common/page.go. A header (number, kind, count,
 * overflow), then an element for each key, then keys and values in the same order without gaps.
 */
export interface Page {
  /** 0 for the page of a bucket that lies in another's value. */
  readonly id: number;
  readonly kind: "branch" | "leaf";
  readonly count: number;
  readonly bytes: Buffer;
}

export interface PageHeader {
  readonly id: number;
  readonly flags: number;
  readonly count: number;
  /** How many pages behind it belong to it. */
  readonly overflow: number;
}

export const LEAF_FLAG = 0x02;
export const FREELIST_FLAG = 0x10;

export function readPageHeader(bytes: Buffer): PageHeader {
  return {
    id: readPageId(bytes, 0),
    flags: bytes.readUInt16LE(8),
    count: bytes.readUInt16LE(10),
    overflow: bytes.readUInt32LE(12),
  };
}

/** Reads a page of a tree from all its bytes. What its elements say is checked here, so that nothing else has to. */
export function readPage(title: string, bytes: Buffer): Page {
  const { id, flags, count } = readPageHeader(bytes);
  if (flags !== BRANCH_FLAG && flags !== LEAF_FLAG) {
    throw new Damage("page", `${title} is neither branch nor leaf (${flags})`);
  }
  const kind = flags === LEAF_FLAG ? "leaf" : "branch";
  let end = PAGE_HEADER_BYTES + count * ELEMENT_BYTES;
  if (end > bytes.length) throw new Damage("elements", `${title} is too short for ${count} elements`);
  for (let index = 0; index < count; index++) {
    const at = PAGE_HEADER_BYTES + index * ELEMENT_BYTES;
    const begins = at + bytes.readUInt32LE(kind === "leaf" ? at + 4 : at);
    const keyBytes = bytes.readUInt32LE(kind === "leaf" ? at + 8 : at + 4);
    if (begins !== end || keyBytes === 0) throw new Damage("elements", `${title}: element ${index} is damaged`);
    end += keyBytes;
    if (kind === "leaf") {
      if (bytes.readUInt32LE(at) > BUCKET_FLAG) throw new Damage("elements", `${title}: element ${index} is damaged`);
      end += bytes.readUInt32LE(at + 12);
    }
    if (end > bytes.length) throw new Damage("elements", `${title}: element ${index} is longer than the page`);
  }
  return { id, kind, count, bytes };
}

/** How many bytes of a page are used. */
export function usedBytes(page: Page): number {
  const last = page.count - 1;
  if (last < 0) return PAGE_HEADER_BYTES;
  const end = keyEnd(page, last);
  return page.kind === "leaf" ? end + page.bytes.readUInt32LE(elementAt(last) + 12) : end;
}

export function keyAt(page: Page, index: number): Buffer {
  const end = keyEnd(page, index);
  return page.bytes.subarray(end - keyBytesAt(page, index), end);
}

/** The value at a place of a leaf. */
export function valueAt(page: Page, index: number): Buffer {
  const begins = keyEnd(page, index);
  return page.bytes.subarray(begins, begins + page.bytes.readUInt32LE(elementAt(index) + 12));
}

/** Whether the value at a place of a leaf is a bucket. */
export function isBucketAt(page: Page, index: number): boolean {
  return page.bytes.readUInt32LE(elementAt(index)) === BUCKET_FLAG;
}

/** The number of the page that a place of a branch refers to. */
export function childAt(page: Page, index: number): number {
  return readPageId(page.bytes, elementAt(index) + 8);
}

const BRANCH_FLAG = 0x01;
const BUCKET_FLAG = 0x01;
/** Of either kind. */
export const ELEMENT_BYTES = 16;

function elementAt(index: number): number {
  return PAGE_HEADER_BYTES + index * ELEMENT_BYTES;
}

function keyBytesAt(page: Page, index: number): number {
  return page.bytes.readUInt32LE(elementAt(index) + (page.kind === "leaf" ? 8 : 4));
}

function keyEnd(page: Page, index: number): number {
  const at = elementAt(index);
  return at + page.bytes.readUInt32LE(page.kind === "leaf" ? at + 4 : at) + keyBytesAt(page, index);
}
