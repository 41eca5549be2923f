//! Where modules come from: upstream proxies and the cache in front of them.
