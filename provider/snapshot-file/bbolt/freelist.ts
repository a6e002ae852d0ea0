import { Damage } from "../damage";
import type { Database } from "./database";
import { PAGE_HEADER_BYTES, readPageId } from "./meta";
import { FREELIST_FLAG, type PageHeader } from "./page";

/** Reads the numbers of the free pages, which bbolt writes in ascending order: its internal/freelist/shared.go. */
export async function readFreelist(database: Database, header: PageHeader): Promise<Float64Array> {
  if (header.flags !== FREELIST_FLAG) throw new Damage("freelist", `page ${header.id} is not a list of free pages`);
  const bytes = await database.readBytes(header);
  // What does not fit into 16 bits stands before the first one.
  const isLong = header.count === COUNT_IS_FIRST;
  const count = isLong ? readPageId(bytes, PAGE_HEADER_BYTES) : header.count;
  const begins = PAGE_HEADER_BYTES + (isLong ? 8 : 0);
  const end = begins + count * 8;
  if (end > bytes.length) throw new Damage("freelist", `the list of free pages is too short for ${count}`);
  const free = new Float64Array(count);
  let before = 1;
  for (let index = 0; index < count; index++) {
    const id = readPageId(bytes, begins + index * 8);
    if (id <= before || id >= database.meta.pages) {
      throw new Damage("freelist", `the list of free pages has page ${id} of ${database.meta.pages} behind ${before}`);
    }
    free[index] = before = id;
  }
  return free;
}

const COUNT_IS_FIRST = 0xffff;
