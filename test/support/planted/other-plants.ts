import { crash, mocha, native, type Plant } from './plant.js';

/** In backends, indexes, the order of the engine's steps, and backups. */
export const OTHER_PLANTS: readonly Plant[] = [
  {
    name: 'io-short-write-is-whole',
    what: 'a write that moved a part of its bytes counts as done',
    file: 'native/io/host_backend.cc',
    edits: [
      [
        'if (static_cast<uint64_t>(result) >= piece->left_bytes()) return true;',
        'if (result >= 0) return true;',
      ],
    ],
    caughtBy: native('io_test'),
  },
  {
    name: 'io-error-is-success',
    what: 'a negative result of the kernel counts as done',
    file: 'native/io/host_backend.cc',
    edits: [
      [
        '  if (result < 0) {\n    *error = result;\n    return true;',
        '  if (result < 0) {\n    return true;',
      ],
    ],
    caughtBy: native('io_test', 'WhatTheKernelRefuses'),
  },
  {
    name: 'io-uring-durable-write-unsynced',
    what: 'io_uring writes without RWF_DSYNC what is to be durable',
    file: 'native/io/uring_backend.cc',
    edits: [['if (transfer.dsync) sqe->rw_flags = RWF_DSYNC;', '']],
    caughtBy: native('io_test', 'ADurableWrite'),
  },
  {
    name: 'io-broken-ring-submits',
    what: 'requests that were given up are handed to the kernel after all',
    file: 'native/io/uring_backend.cc',
    edits: [['in_kernel_ == 0 || broken_ != 0', 'in_kernel_ == 0']],
    caughtBy: mocha('test/ts/robustness/nth-calls.test.ts', 'n-th submission fails'),
  },
  {
    name: 'io-memory-error-without-code',
    what: 'no memory for pages is an error of the addon, as it is',
    file: 'ts/bindings/file-set.ts',
    edits: [
      [
        "calling('allocate', undefined, () => this.native.allocate(bytes))",
        'this.native.allocate(bytes)',
      ],
    ],
    caughtBy: mocha('test/ts/robustness/nth-calls.test.ts', 'POSIX.*n-th allocation'),
  },
  {
    name: 'io-posix-durable-write-unsynced',
    what: 'a thread writes without RWF_DSYNC what is to be durable',
    file: 'native/io/posix_backend.cc',
    edits: [['dsync ? RWF_DSYNC : 0', '0']],
    caughtBy: native('io_test', 'ADurableWrite'),
  },
  {
    name: 'io-threads-push-unlocked',
    what: 'threads put what they have done into the list of the pool without its lock',
    file: 'native/io/blocking_pool.cc',
    edits: [
      [
        'lock.lock();\n    const bool first = finished_.head == nullptr;\n    finished_.Push(task);',
        'const bool first = finished_.head == nullptr;\n    finished_.Push(task);\n    lock.lock();',
      ],
    ],
    caughtBy: native('blocking_pool_test'),
  },
  {
    name: 'io-long-durable-write-unsynced',
    what: 'no sync follows the pieces of a long write that is to be durable',
    file: 'native/io/host_backend.cc',
    edits: [
      ['transfer->sync_after = durable && !transfer->dsync;', 'transfer->sync_after = false;'],
    ],
    caughtBy: native('io_test', 'ADurableWrite'),
  },
  {
    name: 'io-directory-unsynced',
    what: 'a sync of the directory does nothing',
    file: 'native/io/directory_file_set.cc',
    edits: [
      ['result = Repeating([&] { return ::fsync(directory_); });', 'result = 0 * directory_;'],
    ],
    caughtBy: native('io_test', 'ASyncOfTheDirectory'),
  },
  {
    name: 'io-file-closed-under-its-operations',
    what: 'the descriptor of a closed file goes while operations on it are under way',
    file: 'native/io/host_backend.cc',
    edits: [
      ['if (files_[Index(file)].uses == 0) CloseDescriptor(file);', 'CloseDescriptor(file);'],
    ],
    caughtBy: native('io_test', 'ClosingAFile'),
  },
  {
    name: 'io-memory-freed-in-flight',
    what: 'memory that an operation in flight uses goes with its ArrayBuffer',
    file: 'native/binding/io_buffers.h',
    edits: [
      [
        'static void Acquire(Block* block) { ++block->operations; }',
        'static void Acquire(Block*) {}',
      ],
    ],
    caughtBy: mocha('test/ts/bindings/file-set.test.ts', 'keeps memory in flight'),
  },
  {
    name: 'index-pages-after-their-table',
    what: 'a checkpoint names pages of the index that are not synced',
    file: 'ts/index/page-checkpoint.ts',
    edits: [['    await file.sync();\n', '    await Promise.resolve();\n']],
    caughtBy: crash('r1000014'),
  },
  {
    name: 'index-page-in-place',
    what: 'an image of a page goes over the one that the checkpoint in force names',
    file: 'ts/index/page-writer.ts',
    edits: [
      [
        'const { page, writeNumber } = this.#file.allocate();',
        'const fresh = this.#file.allocate();\n    const { writeNumber } = fresh;\n' +
          '    const page = table.page[bucket] !== 0 ? table.page[bucket]! : fresh.page;',
      ],
      [
        '    if (table.page[bucket] !== 0) {\n      this.#file.release(table.page[bucket]!, table.writeNumber[bucket]!);',
        '    if (page !== fresh.page) {\n      this.#file.release(fresh.page, writeNumber);',
      ],
    ],
    caughtBy: crash('r1000014'),
  },
  {
    name: 'index-page-freed-early',
    what: 'a page is written over while the checkpoint in force names it',
    file: 'ts/index/page-file.ts',
    edits: [
      [
        'if (writeNumber <= this.#captured) this.#later.push(page);\n    else this.#give(page);',
        'void writeNumber;\n    this.#give(page);',
      ],
    ],
    caughtBy: crash('r1000011'),
  },
  {
    name: 'index-image-buffer-reused-in-flight',
    what: 'the buffer of images is filled anew while it is being written',
    file: 'ts/index/page-writer.ts',
    edits: [
      ['    this.#runs.add(run);\n', '    this.#runs.add(run);\n    this.#buffers.push(buffer);\n'],
      ['      this.#buffers.push(buffer);\n      this.#ended', '      this.#ended'],
    ],
    caughtBy: crash('r1000011'),
  },
  {
    name: 'index-growth-published-before-it-is-there',
    what: 'pages of the index file are used before the file has grown',
    file: 'ts/index/page-file.ts',
    edits: [
      [
        '    this.#fileSet.startGrow(this.#file, pages * PAGE_BYTES, (error) => {\n      if (error === undefined) this.#setPages(pages);\n',
        '    this.#setPages(pages);\n    this.#fileSet.startGrow(this.#file, pages * PAGE_BYTES, (error) => {\n',
      ],
    ],
    caughtBy: mocha('test/ts/engine/ssd-index.test.ts'),
  },
  {
    name: 'index-change-dropped-by-a-load',
    what: 'a page comes in without the changes that waited for it',
    file: 'ts/index/buckets.ts',
    edits: [
      [
        'for (const { d, h, x, handle } of this.pending.take(bucket)) {',
        'for (const { d, h, x, handle } of this.pending.take(bucket).slice(1)) {',
      ],
    ],
    caughtBy: crash('r1000014'),
  },
  {
    name: 'index-page-gone-before-it-was-looked-at',
    what: 'a page that somebody blocked for makes room for another before he goes on',
    file: 'ts/index/ssd-index-pages.ts',
    edits: [
      [
        '        if (error === undefined) cache.pin(slot);\n        done(error);',
        '        done(error);',
      ],
      ['    cache.unpin(slot);\n  }\n', '  }\n'],
    ],
    caughtBy: mocha('test/ts/index/page-loads.test.ts'),
  },
  {
    name: 'index-page-read-for-nobody',
    what: 'a page goes for one that was asked for twice and has come',
    file: 'ts/index/buckets.ts',
    edits: [['this.#loading.has(bucket) && !this.#reading.has', '!this.#reading.has']],
    caughtBy: mocha('test/ts/index/page-loads.test.ts'),
  },
  {
    name: 'index-splits-without-space',
    what: 'changes that wait for their pages have no space for what they split',
    file: 'ts/index/buckets.ts',
    edits: [['pending.beyondRoom + this.#moreSplits(pending.count)', '0']],
    caughtBy: mocha('test/ts/index/page-loads.test.ts'),
  },
  {
    name: 'index-hash-compared-in-part',
    what: 'keys whose hashes agree in 64 bits of 80 are taken for one',
    file: 'ts/index/hash-index.ts',
    edits: [['if (view[at + 1]! === d && (high & 0xffff) === x) {', 'if (view[at + 1]! === d) {']],
    caughtBy: mocha('test/ts/index/hash-index.test.ts', 'tells hashes apart'),
  },
  {
    name: 'ack-when-written',
    what: 'a write is acknowledged as durable when it is only written',
    file: 'ts/engine/acknowledger.ts',
    edits: [
      [
        'return reach(this.#durable, sequence, log.durableSequence, log);',
        'return reach(this.#written, sequence, log.writtenSequence, log);',
      ],
    ],
    caughtBy: mocha('test/ts/engine/acknowledge.test.ts'),
  },
  {
    name: 'write-inside-a-batch',
    what: 'a synchronous write goes between the records of a batch',
    file: 'ts/engine/write-path.ts',
    edits: [
      ['while (batch !== undefined && !batch.advance()) this.#room.block(batch.urgent);', ''],
    ],
    caughtBy: mocha('test/ts/engine/checkpoint-batch.test.ts', 'synchronous'),
  },
  {
    name: 'write-under-the-key-of-another',
    what: 'a write that waited for room uses the key that the codec holds by then',
    file: 'ts/engine/write-path.ts',
    edits: [
      [
        '        keys.encodeStored(key, key.length);\n        return this.#tryPut',
        '        return this.#tryPut',
      ],
    ],
    caughtBy: crash('r1000001'),
  },
  {
    name: 'failed-data-sync-forgotten',
    what: 'writes go on after a sync of the values file has failed',
    file: 'ts/value-store/grouped-sync.ts',
    edits: [
      [
        'await this.#fileSet.sync(this.#file);\n    } catch (error) {\n      throw this.#failure.set(syncError(error));',
        'await this.#fileSet.sync(this.#file);\n    } catch (error) {\n      throw syncError(error);',
      ],
    ],
    caughtBy: mocha('test/ts/robustness/faults.test.ts', 'n-th sync fails: SSD'),
  },
  {
    name: 'failed-data-sync-tried-again',
    what: 'who waits for the sync after one of the values file that fails has it made',
    file: 'ts/value-store/grouped-sync.ts',
    edits: [
      [
        '    this.#failure.check();\n    try {\n      await this.#fileSet.sync',
        '    try {\n      await this.#fileSet.sync',
      ],
    ],
    caughtBy: mocha('test/ts/engine/acknowledge.test.ts', 'share a sync that fails'),
  },
  {
    name: 'length-truncated',
    what: 'the length of a value is kept in 16 bits',
    file: 'native/cache/slot_record.cc',
    edits: [
      [
        '.value_size = static_cast<uint32_t>(value.size()),',
        '.value_size = static_cast<uint16_t>(value.size()),',
      ],
    ],
    caughtBy: native('value_test', 'values_of_every_size'),
  },
  {
    name: 'backup-without-a-snapshot',
    what: 'a backup copies slots that are used again meanwhile',
    file: 'ts/engine/backup.ts',
    edits: [
      [
        '      const hold = this.#parts.values.holdForCopy?.();\n      const releasePages',
        '      const hold = this.#parts.values.holdForCopy?.();\n      hold?.release();\n      const releasePages',
      ],
    ],
    caughtBy: mocha('test/ts/engine/backup.test.ts', 'holds the slots'),
  },
  {
    name: 'backup-manifest-before-its-files',
    what: 'the manifest of a backup is durable before the names of its files are',
    file: 'ts/engine/backup.ts',
    edits: [
      ['      hold?.release();\n      await target.syncDirectory();\n', '      hold?.release();\n'],
    ],
    caughtBy: mocha('test/ts/engine/backup-crash.test.ts', 'whole or no store'),
  },
  {
    name: 'failed-directory-sync-tried-again',
    what: 'another sync of the directory is believed after one that failed',
    file: 'ts/bindings/file-set.ts',
    edits: [
      ['if (this.#directoryFailure !== undefined) return reject(this.#directoryFailure);', ''],
      ['          this.#directoryFailure ??= error;\n', ''],
      [
        'if (this.#directoryFailure === undefined) resolve();\n          else reject(this.#directoryFailure);',
        'if (error === undefined) resolve();\n          else reject(error);',
      ],
    ],
    caughtBy: mocha('test/ts/robustness/regressions.test.ts', 'names no checkpoint'),
  },
];
