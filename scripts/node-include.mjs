// Prints the first include directory of Node that holds uv.h. Both builds ask here: Debian's and
// NodeSource's packages, the official tarballs and the docker images ship it beside the binary.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The prefix that node-gyp calls nodedir, or undefined when there are no headers. */
export function nodePrefix() {
  const candidates = [process.env.npm_config_nodedir, dirname(dirname(process.execPath))];
  return candidates.find((prefix) => prefix && existsSync(join(prefix, 'include/node/uv.h')));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const prefix = nodePrefix();
  if (prefix === undefined) {
    console.error('uv.h was not found beside node: install the Node.js headers (libnode-dev)');
    process.exit(1);
  }
  console.log(join(prefix, 'include/node'));
}
