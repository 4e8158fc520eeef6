// Reads {entries, define} as JSON from stdin, bundles the scripts of website/live with esbuild and
// writes {path: content} as JSON to stdout.
import { text } from "node:stream/consumers";
import { build } from "esbuild";

const { entries, define } = JSON.parse(await text(process.stdin));
const { outputFiles } = await build({
  entryPoints: entries,
  outdir: "/",
  bundle: true,
  splitting: true,
  format: "esm",
  target: "es2022",
  minify: true,
  chunkNames: "part-[hash]",
  define,
  write: false,
  logLevel: "error",
});
const files = outputFiles.map(({ path, text }) => [path.split(/[\\/]/).pop(), text]);
process.stdout.write(JSON.stringify(Object.fromEntries(files)));
