import { addon } from '../bindings/addon.js';
import type { FileId, FileSet } from '../bindings/file-set.js';
import type { ManifestRoot } from '../bindings/log.js';
import { CairnError } from '../common/errors.js';
import { KIB } from '../common/units.js';

export type { ManifestEntry, ManifestRoot } from '../bindings/log.js';

/** Everything but the generation, which each write raises. */
export type ManifestContent = Omit<ManifestRoot, 'generation'>;

const NAME = 'MANIFEST';
const TEMPORARY = 'MANIFEST.tmp';
/** On disk; the codec refuses another size. */
const ROOT_BYTES = 32 * KIB;
const ROOTS = [0, 1] as const;
const OTHER_VERSION = 2;

export interface ManifestOptions {
  /** Types of entries the caller understands; a mandatory one of another type refuses the store. */
  readonly knownEntries?: readonly number[];
  /** Nothing is synced. */
  readonly readOnly?: boolean;
}

/**
 * The file MANIFEST: two roots, of which the newest that checks counts. A write renews both, one
 * after the other and each with a sync, so that at every moment one of them is whole and known,
 * and damage to either later leaves the other with the same content.
 */
export class ManifestFile {
  private readonly buffer: Uint8Array;
  private writing: Promise<void> = Promise.resolve();

  private constructor(
    private readonly files: FileSet,
    private readonly file: FileId,
    private root: ManifestRoot,
    /** The one that holds `root`; the other one is written first. */
    private newest: 0 | 1,
  ) {
    this.buffer = files.allocate(ROOT_BYTES);
  }

  get current(): ManifestRoot {
    return this.root;
  }

  static exists(files: FileSet): boolean {
    return files.list().includes(NAME);
  }

  /** Makes the file under another name first: a MANIFEST that is there is whole. */
  static async create(files: FileSet, content: ManifestContent): Promise<ManifestFile> {
    const root: ManifestRoot = { ...content, generation: 1 };
    const bytes = files.allocate(2 * ROOT_BYTES);
    for (const index of ROOTS) {
      encode(root, index, bytes.subarray(index * ROOT_BYTES, (index + 1) * ROOT_BYTES));
    }
    const file = await files.open(TEMPORARY, 2);
    try {
      await files.write(file, 0, bytes, { sync: false });
      await files.sync(file);
      await files.rename(TEMPORARY, NAME);
      await files.syncName(NAME);
    } catch (error) {
      files.close(file);
      throw error;
    }
    return new ManifestFile(files, file, root, 1);
  }

  /**
   * @throws CairnError CAIRN_CORRUPTION when neither root checks, CAIRN_INCOMPATIBLE when the format
   * or a mandatory entry is not known, CAIRN_NOT_FOUND.
   */
  static async open(files: FileSet, options: ManifestOptions = {}): Promise<ManifestFile> {
    if (!ManifestFile.exists(files)) {
      throw new CairnError('CAIRN_NOT_FOUND', `opening ${NAME}: there is none`, {
        operation: 'open',
        file: NAME,
      });
    }
    const file = await files.open(NAME, 0);
    try {
      // What a dead process left in flight could still be lost after we acted on it: a root, and
      // the name of a file that was just made.
      if (options.readOnly !== true) {
        await files.sync(file);
        await files.syncDirectory();
      }
      const roots: (ManifestRoot | number)[] = [];
      for (const index of ROOTS) roots.push(await readRoot(files, file, index));
      const newest = choose(roots);
      const root = roots[newest] as ManifestRoot;
      refuseUnknownEntries(root, options.knownEntries ?? []);
      return new ManifestFile(files, file, root, newest);
    } catch (error) {
      files.close(file);
      throw error;
    }
  }

  /** Durable when the promise resolves. Calls are done one after the other. */
  write(changes: Partial<ManifestContent>): Promise<void> {
    const done = this.writing.then(() => this.writeRoots(changes));
    // A failed write is final for the caller; the next one must not hang on it.
    this.writing = done.catch(() => undefined);
    return done;
  }

  close(): void {
    this.files.close(this.file);
  }

  private async writeRoots(changes: Partial<ManifestContent>): Promise<void> {
    const root: ManifestRoot = { ...this.root, ...changes, generation: this.root.generation + 1 };
    const first = this.newest === 0 ? 1 : 0;
    for (const index of [first, this.newest] as const) {
      encode(root, index, this.buffer);
      await this.files.write(this.file, index * ROOT_BYTES, this.buffer, { sync: true });
      this.root = root;
    }
  }
}

function encode(root: ManifestRoot, index: 0 | 1, bytes: Uint8Array): void {
  if (addon().encodeManifestRoot(root, index, bytes)) return;
  throw new CairnError(
    'CAIRN_TOO_LARGE',
    `writing ${NAME}: configuration and entries take more than ${ROOT_BYTES} bytes`,
    { operation: 'write', file: NAME },
  );
}

/** The root, or why there is none: 1 damaged, 2 another version. */
async function readRoot(
  files: FileSet,
  file: FileId,
  index: 0 | 1,
): Promise<ManifestRoot | number> {
  const offset = index * ROOT_BYTES;
  // A file cut off behind the first root still has that one.
  if (files.sizeOf(file) < offset + ROOT_BYTES) return 1;
  return addon().decodeManifestRoot(await files.read(file, offset, ROOT_BYTES), index);
}

function choose(roots: readonly (ManifestRoot | number)[]): 0 | 1 {
  const [first, second] = roots;
  if (first === OTHER_VERSION || second === OTHER_VERSION) {
    throw new CairnError(
      'CAIRN_INCOMPATIBLE',
      `opening ${NAME}: its format is of another version`,
      {
        operation: 'open',
        file: NAME,
      },
    );
  }
  if (typeof first === 'object' && typeof second === 'object') {
    return second.generation > first.generation ? 1 : 0;
  }
  if (typeof first === 'object') return 0;
  if (typeof second === 'object') return 1;
  throw new CairnError('CAIRN_CORRUPTION', `opening ${NAME}: neither of its two roots checks`, {
    operation: 'open',
    file: NAME,
    offset: 0,
  });
}

function refuseUnknownEntries(root: ManifestRoot, known: readonly number[]): void {
  for (const entry of root.entries) {
    if (!entry.mandatory || known.includes(entry.type)) continue;
    throw new CairnError(
      'CAIRN_INCOMPATIBLE',
      `opening ${NAME}: it needs a feature (entry ${entry.type}) that this version does not have`,
      { operation: 'open', file: NAME },
    );
  }
}
