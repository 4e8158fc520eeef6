// Reads [{tex, display}, …] as JSON from stdin, writes their HTML as a JSON list to stdout.
// A formula that KaTeX cannot read becomes {error}, so that the build can name it.
import { text } from "node:stream/consumers";
import katex from "katex";

const render = ({ tex, display }) => {
  try {
    return katex.renderToString(tex, { displayMode: display, strict: "error" });
  } catch (error) {
    return { error: error.message };
  }
};
process.stdout.write(JSON.stringify(JSON.parse(await text(process.stdin)).map(render)));
