import { PAGE_BYTES, TIB } from '../common/units.js';
import { acceptedNames, ALIASES } from './names.js';
import type { RegisteredNames } from './names.js';
import type { IntegerRule, Section } from './section.js';
import type { Sections } from './sections.js';
import type { ResolvedIo } from './types.js';

// A drain hands over at most 4096 results at once.
const depthRule: IntegerRule = { min: 1, max: 4096, unit: 'requests' };
const busyPollRule: IntegerRule = { min: 0, max: 1000, unit: 'microseconds' };
const threadsRule: IntegerRule = { min: 1, max: 128, unit: 'threads' };
const offsetRule: IntegerRule = { min: 0, max: 64 * TIB, unit: 'bytes', multipleOf: PAGE_BYTES };

/**
 * One store has one backend. The seed system's documents say it beside each user (the SSD allocator
 * and the SSD index): the types must agree then, and of the numbers the larger one holds. `io` at
 * the top goes before both.
 */
export function resolveIo(sections: Sections, names: RegisteredNames): ResolvedIo {
  const { io, ssdIo, indexIo } = sections;
  const nested = [ssdIo, indexIo];

  const accepted = acceptedNames('io', names);
  let typeSection: Section | undefined;
  let type = 'IOURING';
  for (const section of [io, ...nested]) {
    const given = section.name('type', accepted, type, ALIASES.io);
    if (!section.has('type')) continue;
    if (typeSection === undefined) {
      typeSection = section;
      type = given;
    } else if (given !== type) {
      const first = typeSection.pathOf('type');
      section.refuse('type', `${type}, as ${first} says: one store has one I/O backend`);
    }
  }

  function number(key: string, rule: IntegerRule, otherwise: number): number {
    const own = io.integer(key, rule, undefined);
    const others = nested.map((section) => section.integer(key, rule, undefined));
    const given = others.filter((value) => value !== undefined);
    return own ?? (given.length > 0 ? Math.max(...given) : otherwise);
  }
  const queueDepth = number('queue_depth', depthRule, 128);
  const flushEvery = number(
    'flush_every',
    { ...depthRule, unit: 'requests' },
    Math.min(4, queueDepth),
  );
  if (flushEvery > queueDepth) {
    const section = [io, ...nested].find((candidate) => candidate.has('flush_every')) ?? io;
    section.refuse('flush_every', `at most queue_depth, which is ${queueDepth}`);
  }
  return {
    type,
    queueDepth,
    flushEvery,
    busyPollUs: number('busy_poll_us', busyPollRule, 0),
    threads: number('threads', threadsRule, 8),
    baseOffsetBytes: number('base_offset_bytes', offsetRule, 0),
  };
}
