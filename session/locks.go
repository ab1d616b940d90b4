package session

// The kinds of locks whose order the package documentation gives.
type (
	registryLock     struct{} // registry.mu
	subscriptionLock struct{} // subscription.mu
	controllerLock   struct{} // adaptation.mu
	limitsLock       struct{} // limits.mu
	viewerLock       struct{} // viewer.mu
	watchedLock      struct{} // watched.mu
	refusalsLock     struct{} // refusals.mu
	resizerLock      struct{} // resizer.mu
	traceLock        struct{} // traces.mu
	journalLock      struct{} // Journal.mu
	newsLock         struct{} // news.mu
)
