//! The envelope and what it means; the session over real HTTP is in the integration tests.
