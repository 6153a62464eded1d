// A worker of ending-child.mjs: loads the addon and makes `workerData.what` of it, and ends itself
// in the middle of that native call, at its `workerData.steps`-th look at JavaScript. Ends with 7
// when it did, with 0 when the call has fewer steps. Plain JavaScript: a worker starts in 15 ms.
import { workerData } from 'node:worker_threads';

const { addonFile, directory, steps, what } = workerData;
let left = steps;

/** From here on Node-API does nothing more in this thread: process.exit() ends it at once. */
function step() {
  if (left-- === 0) process.exit(7);
}

function watched(object) {
  return new Proxy(object, {
    get(target, name) {
      step();
      return target[name];
    },
    set(target, name, value) {
      step();
      target[name] = value;
      return true;
    },
  });
}

/** Node-API takes no Proxy for an array. */
function watchedList(...items) {
  const list = [];
  items.forEach((item, at) => {
    Object.defineProperty(list, at, {
      get() {
        step();
        return item;
      },
    });
  });
  return list;
}

const loading = { exports: what === 'exports' ? watched({}) : {} };
process.dlopen(loading, addonFile);
const addon = loading.exports;
const storeId = new Uint8Array(16);
const tier = watched({
  capacityBytes: 2 ** 20,
  highWatermarkRatio: 0.5,
  allocator: 'R2_SLAB',
  sizeClasses: watchedList(128, 256),
});

/** OpenMode of ts/bindings/addon.ts: made new. */
const OPEN_CREATED = 1;

async function slotFile(more) {
  const io = addon.NativeIo.memory();
  const file = await new Promise((resolve) => {
    io.open('values', OPEN_CREATED, 1);
    io.submit();
    while (io.drain() === 0);
    resolve(io.results[1]);
  });
  const options = { file, storeId, capacityBytes: 0, cacheBytes: 2 ** 20, runBytes: 65536 };
  const limits = { dirtyBytesMax: 2 ** 20, reserveBytesMax: 2 ** 20, token: 2 };
  return new addon.NativeSlotFile(io, watched({ ...options, ...limits, ...more }));
}

const makers = {
  exports: () => undefined,
  'slab file': () =>
    slotFile({
      classTable: addon.NativeSlotFile.slabClassTable,
      sizeClasses: watchedList(128, 256),
      tier,
    }),
  'buddy file': () =>
    slotFile({ classTable: addon.NativeSlotFile.buddyClassTable, blockBytes: 65536 }),
  'memory slots': () =>
    new addon.NativeMemorySlots(
      watched({
        capacityBytes: 2 ** 26,
        sizeClasses: watchedList(128, 256),
        allocator: 'PERSIST_LOOP_SLAB',
        pool: watched({ path: `${directory}.pool`, storeId }),
      }),
    ),
  'log writer': () =>
    new addon.NativeLogWriter(
      watched({
        io: addon.NativeIo.memory(),
        storeId,
        segmentBytes: 2 ** 20,
        maxGroupBytes: 2 ** 18,
        maxPendingBytes: 2 ** 20,
        nextSegmentId: 1,
        previousSequence: 0,
        firstSequence: 1,
        token: 1,
      }),
    ),
  'manifest root': () =>
    addon.encodeManifestRoot(
      watched({
        storeId,
        hashKey: storeId,
        generation: 1,
        durableSequence: 0,
        checkpointId: 0,
        checkpointBytes: 0,
        checkpointCrc: 0,
        startSequence: 1,
        firstSegmentId: 1,
        clean: true,
        config: '{}',
        entries: watchedList(watched({ type: 1, mandatory: true, data: storeId })),
      }),
      0,
      new Uint8Array(addon.codecLayout.manifestRootBytes),
    ),
  directory: () =>
    new Promise((resolve, reject) => {
      const options = { backend: 'POSIX', create: true, readOnly: false, queueDepth: 8 };
      const more = { flushEvery: 8, busyPollUs: 0, threads: 1, lockTimeoutMs: 0 };
      addon.NativeIo.openDirectory(directory, watched({ ...options, ...more }), (status, io) =>
        io === null ? reject(status) : io.dispose(resolve),
      );
    }),
};

await makers[what]();
