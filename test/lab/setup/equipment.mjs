// Where everything that the lab needs lies, written down for the lab: it does not have to know how the cache is keyed.
import { etcd34, machineImage } from "./debian.mjs";
import { etcd35, etcd36, k3sStandIn, pulumi, versitygw } from "./go-tools.mjs";
import { cacheDirectory } from "./cache.mjs";
import { writeStamp } from "./project.mjs";

/** One after the other: every build uses all the cores there are. */
export async function provideEquipment() {
  const equipment = {
    cache: cacheDirectory,
    image: await machineImage(),
    etcd: { 3.4: await etcd34(), 3.5: await etcd35(), 3.6: await etcd36() },
    versitygw: await versitygw(),
    k3sStandIn: await k3sStandIn(),
    pulumi: await pulumi(),
  };
  writeStamp("equipment.json", JSON.stringify(equipment, undefined, 2));
}
