import { crash, mocha, native, type Plant } from './plant.js';

/** In slots, allocators, caches and values in memory. */
export const VALUE_PLANTS: readonly Plant[] = [
  {
    name: 'slot-freed-at-once',
    what: 'a slot is used again before the record that replaced it is durable',
    file: 'native/value/retire_queue.h',
    edits: [
      [
        'undurable_.push_back({handle, sequence});',
        '(void)sequence;\n    unread_.push_back({handle, reader_.next_ticket()});',
      ],
    ],
    caughtBy: crash(20_000),
  },
  {
    name: 'slot-freed-one-checkpoint-early',
    what: 'a slot that was replaced while a checkpoint is written is free at its end',
    file: 'native/value/retire_queue.cc',
    edits: [
      [
        'later_.push_back(undurable_.front().handle);',
        'current_.push_back(undurable_.front().handle);',
      ],
    ],
    caughtBy: native('value_test', 'a_slot_replaced'),
  },
  {
    name: 'slot-freed-under-a-read',
    what: 'a slot is used again while a read of it is under way',
    file: 'native/value/retire_queue.cc',
    edits: [
      [
        'while (!unread_.empty() && unread_.front().ticket <= oldest) {',
        '(void)oldest;\n  while (!unread_.empty()) {',
      ],
    ],
    caughtBy: mocha('test/ts/value-store/ssd-value-store.test.ts'),
  },
  {
    name: 'slot-held-for-a-backup-freed',
    what: 'a slot that a backup has not copied yet is used again',
    file: 'native/value/retire_queue.cc',
    edits: [
      [
        'if (end <= hold_begin_bytes_ || begin >= hold_end_bytes_) return',
        'if (end > 0 || begin > 0) return',
      ],
    ],
    caughtBy: mocha('test/ts/engine/backup.test.ts', 'holds the slots'),
  },
  {
    name: 'slot-cell-closed-before-it-is-written',
    what: 'a cell whose records are discarded is handed out while its write is on its way',
    file: 'native/value/slot_writer.cc',
    edits: [
      ['  queue_.push_back(run);\n}', '  CloseCells(*run);\n  queue_.push_back(run);\n}'],
      ['  if (!run->keep) CloseCells(*run);\n', ''],
    ],
    caughtBy: native('value_test', 'a_cell_whose'),
  },
  {
    name: 'slot-page-cache-stale',
    what: 'a page in the cache is not dropped when its cell is used again',
    file: 'native/value/slot_writer.cc',
    edits: [['cache_.Invalidate((run->offset_bytes + at) / kPageBytes);', '(void)at;']],
    caughtBy: native('value_test', 'a_page_in_the_cache'),
  },
  {
    name: 'slot-key-not-compared',
    what: 'a get takes the record that the hash leads to for the one of its key',
    file: 'native/value/slot_reader.cc',
    edits: [
      [
        'if (same) return Outcome::kFound;\n  // A write',
        '(void)same;\n  return Outcome::kFound;\n  // A write',
      ],
    ],
    caughtBy: native('value_test', 'a_record_of_another_key'),
  },
  {
    name: 'slot-read-while-its-page-is-filling',
    what: 'a page is looked at before the read that fills it has ended',
    file: 'native/value/slot_reader.cc',
    edits: [
      [
        'if (frame == PageCache::kNoFrame || cache_.filling(frame)) return Hit{};',
        'if (frame == PageCache::kNoFrame) return Hit{};',
      ],
    ],
    caughtBy: mocha('test/ts/value-store/ssd-value-store.test.ts'),
  },
  {
    name: 'slot-crc-without-its-place',
    what: 'a record that a misdirected write put elsewhere checks there',
    file: 'native/cache/slot_record.cc',
    edits: [
      [
        'kValuesFileNumber, offset_bytes, sequence);',
        'kValuesFileNumber, 0 * offset_bytes, sequence);',
      ],
    ],
    caughtBy: native('cache_test'),
  },
  {
    name: 'large-value-unsynced',
    what: 'the log names a large value that is not durable in its slot',
    file: 'ts/engine/placer.ts',
    edits: [['    await this.#parts.values.syncData();\n', '']],
    caughtBy: crash('e2.106.15'),
  },
  {
    name: 'large-batch-unsynced',
    what: 'the log names the values of a large batch before they are written out',
    file: 'ts/engine/placer.ts',
    edits: [['      if (through) await values.flush();\n', '']],
    caughtBy: crash('r1000005'),
  },
  {
    name: 'sync-shared-with-those-who-came-later',
    what: 'whoever asks while a sync runs is answered by that one',
    file: 'ts/value-store/grouped-sync.ts',
    edits: [
      [
        '    this.#next ??= this.#running.then(',
        '    if (this.#next === undefined) return this.#running;\n    this.#next ??= this.#running.then(',
      ],
    ],
    caughtBy: crash('r1000008'),
  },
  {
    name: 'move-unsynced',
    what: 'the log names the copy of a record that moved before it is durable',
    file: 'ts/engine/compactor.ts',
    edits: [['      await mover.flush();\n', '']],
    caughtBy: crash('e3.1268.22'),
  },
  {
    name: 'move-undoes-a-put',
    what: 'a record that moved replaces what was put meanwhile',
    file: 'ts/engine/appender.ts',
    edits: [['    if ((index.pages ?? index).get(keys.hash) !== from) return false;\n', '']],
    caughtBy: crash('r1000016'),
  },
  {
    name: 'growth-published-before-it-is-there',
    what: 'space of the values file is used before its reservation has ended',
    file: 'native/value/space_keeper.cc',
    edits: [
      [
        '    place_.files->Reserve(place_.file, offset, units * kUnitBytes, step_.get());\n',
        '    place_.files->Reserve(place_.file, offset, units * kUnitBytes, step_.get());\n' +
          '    OnReserved(*step_, 0);\n',
      ],
    ],
    caughtBy: native('value_test'),
  },
  {
    name: 'punch-of-a-write-under-way',
    what: 'a large record is written into a hole that is being made',
    file: 'native/value/slot_writer.cc',
    edits: [['if (space_.Punching(offset, large->buffer.size()))', 'if (false)']],
    caughtBy: native('value_test', 'a_large_record_is_not_written'),
  },
  {
    name: 'punch-before-the-replacement-is-durable',
    what: 'the cells of a lot are emptied before log and index name the copies',
    file: 'ts/engine/compactor.ts',
    edits: [
      [
        '      await this.#relocate(moves, slicer);\n',
        '      for (const { from } of moves) values.discard(from);\n      await this.#relocate(moves, slicer);\n',
      ],
    ],
    caughtBy: crash('e3.1268.22'),
  },
  {
    name: 'buddy-merges-an-allocated-half',
    what: 'a block that returns is merged with its buddy, free or not',
    file: 'native/alloc/unit_pool.cc',
    edits: [
      [
        'while (free_[order].Contains(block ^ 1)) {\n    free_[order].Erase(block ^ 1);',
        'while (order < 1 || free_[order].Contains(block ^ 1)) {\n    if (free_[order].Contains(block ^ 1)) free_[order].Erase(block ^ 1);',
      ],
    ],
    caughtBy: native('alloc_test', 'unit_pool'),
  },
  {
    name: 'tier-copy-stale',
    what: 'the copy in memory of a record that was replaced stays',
    file: 'native/value/retire_queue.h',
    edits: [['if (listener_ != nullptr) listener_->OnUnwanted(handle);', '(void)handle;']],
    caughtBy: mocha('test/ts/value-store/tiered-value-store.test.ts', 'never answers'),
  },
  {
    name: 'memory-key-not-compared',
    what: 'a store in memory takes the record that the hash leads to for the one of its key',
    file: 'ts/value-store/dram-value-store.ts',
    edits: [['return different === 0;', 'return different !== undefined;']],
    caughtBy: mocha('test/ts/value-store/dram-value-store.test.ts', 'another key'),
  },
  {
    name: 'memory-pins-ignored',
    what: 'a slot in memory is used again while an iteration holds it',
    file: 'ts/value-store/retired-slots.ts',
    edits: [
      ['Math.min(this.#pins[0] ?? Number.POSITIVE_INFINITY, this.#inForce)', 'this.#inForce'],
    ],
    caughtBy: mocha('test/ts/value-store/dram-value-store.test.ts'),
  },
  {
    name: 'memory-slot-freed-before-it-is-durable',
    what: 'a slot in memory is used again before the record that replaced it is durable',
    file: 'ts/value-store/retired-slots.ts',
    edits: [[' && (this.#sequences[end] as number) <= this.#durable) end++', ') end++']],
    caughtBy: mocha('test/ts/value-store/dram-value-store.test.ts'),
  },
  {
    name: 'pool-believed-without-its-stamp',
    what: 'a pool file of another checkpoint is taken for that of the one in force',
    file: 'native/cache/pool_file.cc',
    edits: [
      [
        '*stamp != PoolStamp{} &&\n                       (*stamp == header_->in_force || *stamp == header_->begun);',
        '*stamp != PoolStamp{};',
      ],
    ],
    caughtBy: mocha('test/ts/robustness/pool.test.ts', 'is not believed'),
  },
  {
    name: 'other-record-taken-for-a-collision',
    what: 'a record of another key makes the key of its slot absent',
    file: 'native/value/slot_reader.cc',
    edits: [
      [
        'same_hash_ && !same_hash_(key, view.key) ? Outcome::kDamaged : Outcome::kOtherKey',
        'Outcome::kOtherKey',
      ],
    ],
    caughtBy: mocha('test/ts/robustness/other-record.test.ts'),
  },
];
