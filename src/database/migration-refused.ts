/** The schema is old, or the rights of the service are not what they should be, and who is connected cannot change it. Its message is the whole story. */
export class MigrationRefused extends Error {}
