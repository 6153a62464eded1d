import { LOG_PLANTS } from './log-plants.js';
import { OTHER_PLANTS } from './other-plants.js';
import type { Plant } from './plant.js';
import { VALUE_PLANTS } from './value-plants.js';

/** Mistakes that the ordinary test run sees, each in the place where it would be made. */
export const PLANTS: readonly Plant[] = [...LOG_PLANTS, ...VALUE_PLANTS, ...OTHER_PLANTS];
