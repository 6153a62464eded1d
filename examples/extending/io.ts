// An I/O backend of one's own: where the files of a store are and how they are opened. Here each
// store lies below one root, whatever path its configuration names.
import { join } from 'node:path';
import { openDirectoryFiles, type Factories, type Registry } from 'cairn-kv';

export function registerIo(registry: Registry<Factories>, root: string): void {
  registry.register('io', 'BELOW_ROOT', (config) => {
    // The rest of `io` is as the document says: queue_depth, threads, ...
    return openDirectoryFiles({ ...config, path: join(root, config.path) }, 'POSIX');
  });
}
