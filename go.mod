module github.com/ntdiag/ntdiag

go 1.26.0
