module gosem

go 1.21
