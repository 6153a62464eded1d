import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmod, cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withDirectory } from '../../support/stores.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

interface Machine {
  /** Stand-ins by name: the text of a shell script. `$LOG` and `$BIN` are there. */
  readonly programs: Readonly<Record<string, string>>;
  readonly uid?: number;
  readonly execPath?: string;
}

interface Outcome {
  readonly status: number | null;
  readonly stderr: string;
  readonly stdout: string;
  /** What the stand-ins noted. */
  readonly log: string;
}

const NOTE = 'echo "$(/usr/bin/basename "$0") $*" >> "$LOG"';
const COMPILER = 'case "$1" in -print-file-name=*) echo /usr/lib/liburing.a;; esac; exit 0';
const TOOLS = { 'g++': COMPILER, cmake: '', make: '', fio: '' };

/** Runs the set-up of a bare checkout on a machine that has only the stand-ins. */
function setUp({ programs, uid = 0, execPath = process.execPath }: Machine): Promise<Outcome> {
  return withDirectory(async (directory) => {
    const bin = join(directory, 'bin');
    const log = join(directory, 'log');
    await mkdir(bin);
    await writeFile(log, '');
    for (const [name, text] of Object.entries(programs)) {
      await writeFile(join(bin, name), `#!/bin/sh\n${NOTE}\n${text}\n`);
      await chmod(join(bin, name), 0o755);
    }
    const checkout = join(directory, 'checkout');
    await cp(join(ROOT, 'scripts'), join(checkout, 'scripts'), { recursive: true });
    for (const name of ['package.json', 'package-lock.json']) {
      await cp(join(ROOT, name), join(checkout, name));
    }
    const preload = `process.getuid = () => ${uid}; process.execPath = ${JSON.stringify(execPath)};`;
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [
        ...['--import', `data:text/javascript,${encodeURIComponent(preload)}`],
        join(checkout, 'scripts', 'setup.mjs'),
      ],
      { env: { PATH: bin, LOG: log, BIN: bin }, encoding: 'utf8', timeout: 60_000 },
    );
    return { status, stdout, stderr, log: await readFile(log, 'utf8') };
  });
}

/** Fails with one message, and that is all on stderr. */
function assertOneMessage({ status, stderr }: Outcome, pattern: RegExp): void {
  assert.equal(status, 1, stderr);
  assert.equal(stderr.trim().split('\n').length, 1, stderr);
  assert.match(stderr, pattern);
}

const EVERYTHING = /apt-get install g\+\+ make cmake liburing-dev$/m;
const APT = 'env=1';
const ENV = 'while [ "${1#*=}" != "$1" ]; do shift; done; exec "$@"';

describe('the set-up of a bare machine', function () {
  this.timeout(60_000);

  it('names what to install where there is neither apt-get nor a compiler', async () => {
    assertOneMessage(await setUp({ programs: {} }), EVERYTHING);
  });

  it('names it to a user without sudo', async () => {
    const outcome = await setUp({ uid: 1000, programs: { 'apt-get': APT, env: ENV } });
    assertOneMessage(outcome, EVERYTHING);
    assert.doesNotMatch(outcome.log, /apt-get/);
  });

  it('names it to a user whose sudo asks for a password', async () => {
    const sudo = 'echo "sudo: a password is required" >&2; exit 1';
    const outcome = await setUp({ uid: 1000, programs: { 'apt-get': APT, env: ENV, sudo } });
    assertOneMessage(outcome, EVERYTHING);
    assert.match(outcome.log, /^sudo -n /m);
  });

  it('brings the lists of a fresh container up to date, and installs', async () => {
    const tools = Object.entries(TOOLS)
      .map(
        ([name, text]) =>
          `printf '#!/bin/sh\\n${text}\\n' > "$BIN/${name}"; /bin/chmod 755 "$BIN/${name}"`,
      )
      .join('\n');
    const apt = `case "$*" in
      *update*) : > "$BIN/lists";;
      *) if [ ! -e "$BIN/lists" ]; then echo "E: Unable to locate package" >&2; exit 100; fi
${tools};;
      esac`;
    const outcome = await setUp({ programs: { 'apt-get': apt, env: ENV } });
    const calls = outcome.log.split('\n').filter((line) => line.startsWith('apt-get'));
    const order = calls.map((line) => /install|update/.exec(line)?.[0]);
    assert.deepEqual(order, ['install', 'update', 'install']);
    // Next comes npm, which is not there.
    assertOneMessage(outcome, /npm is missing/);
  });

  it('names the packages when the lists cannot be fetched', async () => {
    const apt = 'echo "E: Unable to fetch" >&2; exit 100';
    assertOneMessage(await setUp({ programs: { 'apt-get': apt, env: ENV } }), EVERYTHING);
  });

  it('says where the headers of a Node.js without them come from', async () => {
    const outcome = await setUp({ programs: TOOLS, execPath: '/nowhere/bin/node' });
    assertOneMessage(outcome, /headers of Node\.js.*npm_config_nodedir/);
    assert.doesNotMatch(outcome.stderr, /apt-get/);
  });

  it("names their package where Node.js is Debian's, and there alone", async () => {
    // Symptom: it replaced a Node.js 20 that had been copied to /usr/bin with Debian's Node.js 18.
    // Cause: every Node.js below /usr/bin was taken for Debian's.
    const execPath = '/usr/bin/nowhere/node';
    const owned = { ...TOOLS, dpkg: 'echo "nodejs: $2"' };
    const debian = await setUp({ programs: owned, execPath });
    assert.match(debian.stderr, /headers of Node\.js.*apt-get install libnode-dev/);
    const copied = await setUp({ programs: { ...TOOLS, dpkg: 'exit 1' }, execPath });
    assertOneMessage(copied, /headers of Node\.js.*npm_config_nodedir/);
    assert.doesNotMatch(copied.stderr, /apt-get/);
  });

  it('says what npm needs when it cannot reach it', async () => {
    const npm = 'echo "npm error network" >&2; exit 1';
    const outcome = await setUp({ programs: { ...TOOLS, npm } });
    assert.equal(outcome.status, 1);
    assert.match(outcome.stderr, /npm could not install the packages\. It needs the registry/);
  });
});
