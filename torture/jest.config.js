/** The scenarios run as tests do, one after the other: a real PostgreSQL, the built service as processes of its own. */
import base from '../jest.config.js';

export default {
  ...base,
  rootDir: '..',
  testMatch: ['<rootDir>/torture/scenarios/*.ts'],
  testTimeout: 900_000,
  maxWorkers: 1,
  // One that falls over leaves services behind, for which the run would wait for ever.
  forceExit: true,
};
