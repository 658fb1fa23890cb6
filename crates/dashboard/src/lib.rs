//! The web UI, over traits that it will define itself; empty until the controller has more to show than a log line.
//!
//! Not here, ever: the AWS SDK, and the local IoT Core. Whoever serves the pages hands the fleet in through a trait.
