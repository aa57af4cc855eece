// Empty on purpose: a Go file may declare functions without a body only beside an assembly file.
