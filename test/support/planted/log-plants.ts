import { crash, mocha, native, type Plant } from './plant.js';

/** In the log, the manifest and checkpoints. */
export const LOG_PLANTS: readonly Plant[] = [
  {
    name: 'log-group-unsynced',
    what: 'a group that is to be durable is written without a sync',
    file: 'native/log/log_writer.cc',
    edits: [['sync ? Durability::kSync : Durability::kNone', 'Durability::kNone']],
    caughtBy: crash(20_000),
  },
  {
    name: 'log-sync-vouches-for-earlier-groups',
    what: 'a durable write counts for groups that were written before without a sync',
    file: 'native/log/log_writer.cc',
    edits: [['group.want_sync && !unsynced_ && files_', 'group.want_sync && files_']],
    caughtBy: crash(20_000),
  },
  {
    name: 'log-segment-begun-before-the-last-is-synced',
    what: 'a sync covers the new segment while the old one has unsynced groups',
    file: 'native/log/log_writer.cc',
    edits: [['if (unsynced_ && ready_.front().segment.file != written_file_) {', 'if (false) {']],
    caughtBy: crash(20_000),
  },
  {
    name: 'log-sync-retried',
    what: 'a failed sync is asked for again, and its success is believed',
    file: 'native/log/log_writer.cc',
    edits: [
      [
        '  if (result < 0) {\n    Fail(result);\n    return;\n  }',
        '  if (result < 0) {\n    if (ended == Operation::kSync) return StartSync();\n' +
          '    Fail(result);\n    return;\n  }',
      ],
    ],
    caughtBy: native('log_test', 'a_failure_is_final'),
  },
  {
    name: 'log-failed-sync-is-success',
    what: 'the result of a sync is not looked at',
    file: 'native/log/log_writer.cc',
    edits: [
      [
        '  if (result < 0) {\n    Fail(result);',
        '  if (result < 0 && ended == Operation::kWrite) {\n    Fail(result);',
      ],
    ],
    caughtBy: native('log_test', 'a_failure_is_final'),
  },
  {
    name: 'log-header-claims-too-much',
    what: 'a group says durable of what is only written',
    file: 'native/log/log_writer.cc',
    edits: [
      [
        'header.last_sequence = group->last_sequence;\n  header.durable_sequence = durable_complete_;',
        'header.last_sequence = group->last_sequence;\n  header.durable_sequence = written_complete_;',
      ],
    ],
    caughtBy: crash(20_000),
  },
  {
    name: 'log-crc-unseeded',
    what: 'checksums of the log do not depend on the store, the segment and the place',
    file: 'native/log/log_format.h',
    edits: [
      [
        'return Crc32cSeed(store.low, store.high, segment_id, offset_bytes, first_sequence);',
        'return (void)store, (void)segment_id, (void)offset_bytes, (void)first_sequence, 0;',
      ],
    ],
    caughtBy: mocha('test/ts/robustness/fixtures.test.ts'),
  },
  {
    name: 'log-torn-tail-accepted',
    what: 'a group whose payload does not check is replayed',
    file: 'native/log/log_reader.cc',
    edits: [
      ['if (Crc32c(seed, body) != header.payload_crc) return GroupCheck::kDamaged;', '(void)seed;'],
    ],
    caughtBy: crash(20_000),
  },
  {
    name: 'log-batch-applied-in-part',
    what: 'replay takes the records of a batch whose end is missing',
    file: 'native/log/log_reader.cc',
    edits: [['if ((record.flags & kLogFlagMore) == 0) scan->complete', 'scan->complete']],
    caughtBy: crash(20_000),
  },
  {
    name: 'log-cut-forgotten',
    what: 'records that an earlier recovery cut off come back',
    file: 'ts/log/plan.ts',
    edits: [['limit = Math.min(limit, previousSequences[index] as number);', '']],
    caughtBy: mocha('test/ts/log/plan.test.ts'),
  },
  {
    name: 'log-segment-id-reused',
    what: 'the first segment after a recovery has the id of the last one before it',
    file: 'ts/log/log.ts',
    edits: [
      [
        'nextSegmentId: Math.max(plan.highestSegmentId, options.firstSegmentId - 1) + 1,',
        'nextSegmentId: Math.max(plan.highestSegmentId, options.firstSegmentId),',
      ],
    ],
    caughtBy: crash('e2.106.15'),
  },
  {
    name: 'log-sequences-reused',
    what: 'after a torn tail the numbers of the lost records are given out again',
    file: 'ts/log/log.ts',
    edits: [
      [
        'firstSequence: plan.highestSequence + SEQUENCE_GAP,',
        'firstSequence: plan.lastSequence + 1,',
      ],
    ],
    caughtBy: mocha('test/ts/log/log.test.ts'),
  },
  {
    name: 'log-replayed-before-it-is-durable',
    what: 'recovery acts on what a killed process left in flight',
    file: 'ts/log/replay.ts',
    edits: [['if (options.readOnly !== true) await files.sync(file);', '']],
    caughtBy: crash('r1000002'),
  },
  {
    name: 'log-segment-freed-before-its-checkpoint',
    what: 'segments are used again before the manifest names the checkpoint',
    file: 'ts/engine/checkpointer.ts',
    edits: [
      [
        '    const id = ++this.#lastId;\n',
        '    const id = ++this.#lastId;\n    log.release(firstSegmentId);\n',
      ],
    ],
    caughtBy: crash('r1000098'),
  },
  {
    name: 'log-segment-name-unsynced',
    what: 'records go to a segment whose name is not durable',
    file: 'ts/log/segment-files.ts',
    edits: [
      [
        '    await files.sync(file);\n    await files.syncDirectory();\n    return file;',
        '    await files.sync(file);\n    return file;',
      ],
    ],
    caughtBy: crash('e2.106.15'),
  },
  {
    name: 'manifest-roots-not-alternating',
    what: 'the first root is always written first, the newest or not',
    file: 'ts/log/manifest.ts',
    edits: [
      [
        'for (const index of [first, this.newest] as const) {',
        'void first;\n    for (const index of ROOTS) {',
      ],
    ],
    caughtBy: mocha('test/ts/log/manifest.test.ts'),
  },
  {
    name: 'manifest-root-unsynced',
    what: 'the second root is written before the first is durable',
    file: 'ts/log/manifest.ts',
    edits: [['this.buffer, { sync: true });', 'this.buffer, { sync: index !== first });']],
    caughtBy: mocha('test/ts/log/manifest.test.ts'),
  },
  {
    name: 'manifest-claims-what-is-written',
    what: 'the mark of a log at rest says durable of what is only written',
    file: 'ts/engine/durable-mark.ts',
    edits: [
      [
        'const { durableSequence } = log;\n    if',
        'const { writtenSequence: durableSequence } = log;\n    if',
      ],
    ],
    caughtBy: crash('r1000044'),
  },
  {
    name: 'manifest-name-unsynced',
    what: 'the directory is not synced after the manifest got its name',
    file: 'ts/log/manifest.ts',
    edits: [
      [
        'await files.rename(TEMPORARY, NAME);\n      await files.syncName(NAME);',
        'await files.rename(TEMPORARY, NAME);',
      ],
    ],
    caughtBy: mocha('test/ts/log/manifest.test.ts'),
  },
  {
    name: 'checkpoint-unsynced',
    what: 'the manifest names a checkpoint that is not synced',
    file: 'ts/log/checkpoint.ts',
    edits: [['    await this.files.sync(this.file);\n', '']],
    caughtBy: crash('e2.106.15'),
  },
  {
    name: 'checkpoint-name-unsynced',
    what: 'the manifest names a checkpoint whose name is not durable',
    file: 'ts/log/checkpoint.ts',
    edits: [['    await this.files.syncDirectory();\n', '']],
    caughtBy: crash('e3.854.12'),
  },
  {
    name: 'checkpoint-ahead-of-the-log',
    what: 'a checkpoint comes into force before the log is durable up to its last entry',
    file: 'ts/engine/checkpointer.ts',
    edits: [['      await log.sync();\n', '      void log;\n']],
    caughtBy: crash('r1000002'),
  },
  {
    name: 'checkpoint-before-its-values',
    what: 'a checkpoint names slots that are not written yet',
    file: 'ts/engine/checkpointer.ts',
    edits: [['    await values.flush();\n', '']],
    caughtBy: crash('e2.106.15'),
  },
  {
    name: 'checkpoint-in-a-batch',
    what: 'a checkpoint begins between the records of a batch',
    file: 'ts/engine/checkpointer.ts',
    edits: [['    while (this.#writers.batchOpen) await this.#writers.batchEnd();\n', '']],
    caughtBy: mocha('test/ts/engine/checkpoint-batch.test.ts'),
  },
  {
    name: 'checkpoint-in-force-given-up',
    what: 'the file of the checkpoint in force is taken away before the manifest names the next',
    file: 'ts/engine/checkpointer.ts',
    edits: [
      [
        '    const previous = manifest.current.checkpointId;\n',
        '    const previous = 0;\n    await reserve?.put(manifest.current.checkpointId);\n',
      ],
    ],
    caughtBy: crash('e3.854.12'),
  },
];
