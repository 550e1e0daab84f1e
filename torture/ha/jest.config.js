/** The failover run has a database of its own: no embedded one. */
import base from '../jest.config.js';

export default {
  ...base,
  rootDir: '../..',
  testMatch: ['<rootDir>/torture/ha/*.ts'],
  testPathIgnorePatterns: ['cluster\\.ts$'],
  globalSetup: undefined,
  globalTeardown: undefined,
};
