import { removeLab } from "./remove-lab";
const [verb, directory = ""] = process.argv.slice(2);
if (verb === "remove") void removeLab(directory);
