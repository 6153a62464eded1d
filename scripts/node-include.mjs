// Prints the include directory of Node. Both builds ask here: NodeSource's packages, the official
// tarballs and the docker images have it beside the binary, with uv.h in it. With Debian's own
// package (libnode-dev) uv.h lies among the headers of the system.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The prefix that node-gyp calls nodedir, or undefined when there are no headers. */
export function nodePrefix() {
  const candidates = [process.env.npm_config_nodedir, dirname(dirname(process.execPath))];
  return candidates.find((prefix) => {
    const has = (header) => existsSync(join(prefix, 'include', header));
    return (
      prefix && has('node/node_api.h') && (has('node/uv.h') || (prefix === '/usr' && has('uv.h')))
    );
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const prefix = nodePrefix();
  if (prefix === undefined) {
    console.error(
      'node_api.h and uv.h were not found beside node: install the Node.js headers (libnode-dev)',
    );
    process.exit(1);
  }
  console.log(join(prefix, 'include/node'));
}
