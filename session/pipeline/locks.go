package pipeline

// The kinds of locks whose order the package documentation gives.
type (
	poolLock        struct{} // Pool.mu
	pipelineLock    struct{} // Pipeline.mu
	encodingLock    struct{} // Encoding.mu
	encoderPoolLock struct{} // encoderPool.mu
)
